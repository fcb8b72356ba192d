"""The stage that blends the members' out-of-fold predictions and lays the ensemble out as one folder.

What it writes as the blend out of fold is what the ensemble will do live: neutralised where the ensemble neutralises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from eraflow.disk.atomic import atomic_path
from eraflow.erastore.erareader import EraStore
from eraflow.errors import SettingsError
from eraflow.machine.job import as_json, stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.scoring.neutralise import Neutralisation
from models.base.predictions import Predictions
from models.base.protocol import FloatArray, check_predictions
from models.ensembles.blends import checked_weights, find_blend
from models.ensembles.ensemble import write_ensemble
from models.ensembles.eratables import KnownTruth
from models.ensembles.job import BlendJob, ScoredBlends
from models.ensembles.learntweights import learn_weights
from models.ensembles.membercolumns import MemberColumns, member_columns
from models.ensembles.rankblend import neutralised_blend
from models.ensembles.withoutone import ExactScorer, write_without
from models.training.train import MODEL_FOLDER, OOF

ENSEMBLE_FOLDER = "ensemble"
UNNEUTRALISED = "unneutralised.parquet"
WEIGHTS = "weights.parquet"


@stage_function(BlendJob)
def blend_members(job: BlendJob, out: Path, _: Plan) -> dict[str, Any]:
    """Write `out/oof.parquet`, the blend out of fold, and `out/ensemble/`, which predicts live.

    Where the blend is neutralised, `out/unneutralised.parquet` holds it as it was before. Where that is asked for,
    `out/without.json` has the scores of the blends that lack one member each.

    Returns:
        ensemble_signature, method, members, their weights in the same order, rows, eras; where weights are learnt,
        `learnt`: see `models.ensembles.learntweights.learn_weights`. The weights of each era are then in
        `out/weights.parquet`.

    Raises:
        UnknownBlendError: there is no such method.
        BlendWeightsError: the method gave weights that do not fit the members.
        MembersDifferError: the members' rows differ from each other or from the store.
        NothingLeftError: the features explain the blend of an era completely.
        StageNaN, ConstantPredictionsError: a member's predictions are of no use.
    """
    if not job.members:
        raise SettingsError("there are no members to blend", "train at least one")
    find_blend(job.method)  # before any file is read
    store = EraStore.open(job.store)
    with member_columns(job.members, store, out) as found:
        blend, weights, told = _blended(_Rows(job, store, found), out)
    if job.neutralise is not None:
        blend.write(out / UNNEUTRALISED)
        blend = _neutralised(blend, store, job.neutralise)
    blend.write(out / OOF)
    report(len(job.members), len(job.members) + 1, "writing the ensemble")
    return {
        "ensemble_signature": _write(job, out / ENSEMBLE_FOLDER, store.features, weights)["signature"],
        "method": job.method,
        "members": list(job.members),
        "weights": weights,
        "rows": len(blend.values),
        "eras": len(blend.eras),
        **told,
    }


def _write(job: BlendJob, folder: Path, features: Sequence[str], weights: Sequence[float]) -> dict[str, Any]:
    """The ensemble's folder; gives its description."""
    return write_ensemble(
        folder,
        {name: trained / MODEL_FOLDER for name, trained in job.members.items()},
        features=features,
        method=job.method,
        weights=weights,
        target=job.target,
        horizon_days=job.horizon_days,
        data_version=job.data_version,
        neutralise=None if job.neutralise is None else as_json(job.neutralise),
    )


@dataclass(frozen=True)
class _Rows:
    """The rows that all members hold.

    Attributes:
        job: of the stage.
        store: theirs.
        found: what the members predict.
    """

    job: BlendJob
    store: EraStore
    found: MemberColumns

    def blend(
        self, columns: FloatArray, names: Sequence[str]
    ) -> tuple[FloatArray, FloatArray, FloatArray, dict[str, Any]]:
        """Of these members: the blend float64[n], the weights for live, those that were used, and what is told of
        weights that were learnt.
        """
        job, groups, eras = self.job, self.found.groups, self.found.eras
        chosen, told = find_blend(job.method), dict[str, Any]()
        if chosen.learns is None or job.learning is None:
            weights = used = checked_weights(chosen.weigh(columns, groups), names)
        else:
            truth = self.truth(job.learning.meta_model, job.learning.benchmark)
            learnt = learn_weights(chosen, chosen.learns, columns, groups, eras, truth, job.learning, job.horizon_days)
            weights, used = checked_weights(learnt.weights.live.tolist(), names), learnt.weights.by_era
            told = {"learnt": learnt.told}
        return chosen.combine(columns, groups, used), weights, used, told

    def truth(self, meta_model: str | None, benchmark: str | None) -> KnownTruth:
        """What the members are held against."""
        eras = self.found.eras
        meta, other = (None if name is None else self.store.column(name, eras) for name in (meta_model, benchmark))
        return KnownTruth(self.store.column(self.job.target, eras), meta, other)


def _blended(rows: _Rows, out: Path) -> tuple[Predictions, list[float], dict[str, Any]]:
    """The blend of members that hold the same rows, before anything is neutralised, the weight of each member, and what
    is told of weights that were learnt.
    """
    found, names = rows.found, list(rows.found.names)
    values, weights, used, told = rows.blend(found.values, names)
    check_predictions(values, "the blend")
    if told:
        _write_weights(out, found.eras, names, used)
    if rows.job.without is not None:
        _score_without(rows, rows.job.without, values, names, out)
    return found.predictions(values, rows.store), weights.tolist(), told


def _score_without(rows: _Rows, asked: ScoredBlends, values: FloatArray, names: Sequence[str], out: Path) -> None:
    groups = rows.found.groups
    scorer = ExactScorer(rows.truth(asked.meta_model, asked.benchmark), groups, asked.payout)
    write_without(
        out,
        values,
        rows.found.values,
        names,
        groups,
        scorer,
        lambda rest, others: rows.blend(rest, others)[0],
        lambda label: report(len(names), len(names) + 1, label),
    )


def _write_weights(out: Path, eras: Sequence[str], names: Sequence[str], weights: FloatArray) -> None:
    """A row an era, a column a member."""
    frame = pl.DataFrame({"era": list(eras), **{name: weights[:, at] for at, name in enumerate(names)}})
    with atomic_path(out / WEIGHTS) as temporary:
        frame.write_parquet(temporary, compression="zstd")


def _neutralised(blend: Predictions, store: EraStore, neutralise: Neutralisation) -> Predictions:
    """The blend as the ensemble will finish it; one era's features lie in memory at a time."""
    chosen = None if neutralise.features == store.features else list(neutralise.features)
    values = neutralised_blend(
        blend.values,
        blend.groups,
        lambda era: store.matrix([blend.eras[era]], chosen),
        neutralise.proportion,
        progress=lambda done, total: report(done, total, "eras neutralised"),
    )
    check_predictions(values, "the neutralised blend")
    return replace(blend, values=values)
