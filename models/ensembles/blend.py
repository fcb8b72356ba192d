"""The stage that blends the members' out-of-fold predictions and lays the ensemble out as one folder.

What it writes as the blend out of fold is what the ensemble will do live: neutralised where the ensemble neutralises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError, SettingsError
from eraflow.machine.progress import report
from models.base.predictions import Predictions, read_out_of_fold
from models.base.protocol import check_predictions
from models.ensembles.blends import checked_weights, find_blend
from models.ensembles.ensemble import write_ensemble
from models.ensembles.rankblend import neutralised_blend
from models.training.train import MODEL_FOLDER, OOF

ENSEMBLE_FOLDER = "ensemble"
UNNEUTRALISED = "unneutralised.parquet"


class MembersDifferError(EraflowError):
    """Members were not judged on the same rows, or not on those of the era store. Train them again on one store."""

    code = "members_differ"


def blend_members(
    *,
    out: str,
    members: Mapping[str, str],
    store: str,
    method: str,
    target: str,
    horizon_days: int,
    data_version: str,
    neutralise: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `out/oof.parquet`, the blend out of fold, and `out/ensemble/`, which predicts live.

    Where the blend is neutralised, `out/unneutralised.parquet` holds it as it was before.

    Args:
        out: folder of the stage.
        members: name of each member -> folder of its training stage.
        store: folder of the era store they were trained on.
        method: a row of `BLENDS`.
        target, horizon_days, data_version: written into the ensemble, to be compared with the data it is used on.
        neutralise: `proportion` (above 0) and `features`, in the order of the store; None: nothing is neutralised.
        plan: not used; every stage takes one.

    Returns:
        ensemble_signature, method, members, their weights in the same order, rows, eras.

    Raises:
        UnknownBlendError: there is no such method.
        BlendWeightsError: the method gave weights that do not fit the members.
        MembersDifferError: the members' rows differ from each other or from the store.
        NothingLeftError: the features explain the blend of an era completely.
        StageNaN, ConstantPredictionsError: a member's predictions are of no use.
    """
    if not members:
        raise SettingsError("there are no members to blend", "train at least one")
    find_blend(method)  # before any file is read
    opened = EraStore.open(store)
    found = _read_members(members)
    _check_same_rows(found, opened)
    blend, weights = _blended(found, method)
    if neutralise is not None:
        blend.write(Path(out) / UNNEUTRALISED)
        blend = _neutralised(blend, opened, neutralise)
    blend.write(Path(out) / OOF)
    report(len(members), len(members) + 1, "writing the ensemble")
    description = write_ensemble(
        Path(out) / ENSEMBLE_FOLDER,
        {name: Path(folder) / MODEL_FOLDER for name, folder in members.items()},
        features=opened.features,
        method=method,
        weights=weights,
        target=target,
        horizon_days=horizon_days,
        data_version=data_version,
        neutralise=neutralise,
    )
    return {
        "ensemble_signature": description["signature"],
        "method": method,
        "members": list(members),
        "weights": weights,
        "rows": len(blend.values),
        "eras": len(blend.eras),
    }


def _read_members(members: Mapping[str, str]) -> dict[str, Predictions]:
    """What each member predicts out of fold, in the order of `members`."""
    found = {}
    for done, (name, folder) in enumerate(members.items()):
        report(done, len(members) + 1, f"reading {name}")
        found[name] = read_out_of_fold(Path(folder) / OOF)
        check_predictions(found[name].values, name)
    return found


def _blended(found: Mapping[str, Predictions], method: str) -> tuple[Predictions, list[float]]:
    """The blend of members that hold the same rows, before anything is neutralised, and the weight of each member."""
    first = next(iter(found.values()))
    chosen, columns = find_blend(method), np.stack([each.values for each in found.values()], axis=1)
    weights = checked_weights(chosen.weigh(columns, first.groups), list(found))
    values = chosen.combine(columns, first.groups, weights)
    check_predictions(values, "the blend")
    return replace(first, values=values), weights.tolist()


def _neutralised(blend: Predictions, store: EraStore, neutralise: Mapping[str, Any]) -> Predictions:
    """The blend as the ensemble will finish it; one era's features lie in memory at a time."""
    names = list(neutralise["features"])
    chosen = None if tuple(names) == store.features else names
    values = neutralised_blend(
        blend.values,
        blend.groups,
        lambda era: store.matrix([blend.eras[era]], chosen),
        float(neutralise["proportion"]),
        progress=lambda done, total: report(done, total, "eras neutralised"),
    )
    check_predictions(values, "the neutralised blend")
    return replace(blend, values=values)


def _check_same_rows(found: Mapping[str, Predictions], store: EraStore) -> None:
    """Every member must hold exactly the store's rows of its eras, and the same eras as the others."""
    first_name, first = next(iter(found.items()))
    ids = store.ids(first.eras)
    for name, each in found.items():
        if each.eras != first.eras:
            raise MembersDifferError(
                f"{name} was judged on {len(each.eras)} eras ({each.eras[0]} to {each.eras[-1]}), {first_name} on "
                f"{len(first.eras)} ({first.eras[0]} to {first.eras[-1]})",
                "train both again on the same windows",
            )
        if not np.array_equal(each.ids.astype(np.str_), ids):
            raise MembersDifferError(
                f"{name} does not hold the ids of the era store in its order", "train it again on this store"
            )
