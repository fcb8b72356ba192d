"""The ensemble: one folder that holds the members, the features in order and all that is needed to predict.

ensemble.json        members, weights, method, features, target, horizon, data version, versions, sha256, signature;
                     what is neutralised (proportion and features), where anything is
models/<name>/...    each member as its model saved it
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.disk.atomic import storage_errors, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.disk.plainnames import is_plain_name
from eraflow.errors import EraflowError, SettingsError
from eraflow.machine.plan import Plan
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import Codes, FloatArray, Model, check_predictions, read_description
from models.base.wholeeras import Offsets, needs_whole_eras, predict_in_eras
from models.ensembles.blends import Blend, checked_weights, find_blend, member_weights
from models.ensembles.rankblend import CodesOf, neutralised_blend
from models.kinds import load_model

ENSEMBLE_FILE = "ensemble.json"
MISSING_CODE = 2
FORMAT = 1
NEUTRALISING_FORMAT = 2
"""Of an ensemble that neutralises: a version of Eraflow that would not do so must refuse it."""


class DamagedEnsembleError(EraflowError):
    """An ensemble folder lacks a file, or a file is not the one that was written. Blend again."""

    code = "damaged_ensemble"


class EnsembleFeatureError(EraflowError):
    """The data lacks features that the ensemble was trained on. Use data of the ensemble's own version."""

    code = "schema_missing_feature"


class FeaturesNeededError(EraflowError):
    """An ensemble that neutralises was asked to finish predictions without the features. Pass `codes_of`."""

    code = "features_needed"


@dataclass(frozen=True)
class Ensemble:
    """Members that predict together.

    Attributes:
        description: the content of ensemble.json.
        members: the loaded models by name, in the order of the description.
    """

    description: Mapping[str, Any]
    members: Mapping[str, Model]

    @classmethod
    def load(cls, folder: Path | str) -> Ensemble:
        """Read an ensemble folder and check every file against its sha256.

        Raises:
            DamagedEnsembleError: something is missing or changed.
            UnknownBlendError: its members are blended in a way that this version does not know.
            BlendWeightsError: the members' weights do not fit.
        """
        folder = Path(folder)
        description = read_ensemble(folder)
        find_blend(description.get("method"))
        member_weights(description["members"])
        members = {}
        for member in description["members"]:
            place = folder / "models" / member["name"]
            if _hashes(place) != member["files"]:
                raise DamagedEnsembleError(f"{place} is not what {ENSEMBLE_FILE} describes", "blend the members again")
            members[member["name"]] = load_model(place)
        return cls(description, members)

    @property
    def features(self) -> tuple[str, ...]:
        """The features in the order of the columns of x."""
        return tuple(self.description["features"])

    @property
    def signature(self) -> str:
        """What this ensemble is, as one hash: the gate's verdict names it."""
        return str(self.description["signature"])

    def check_features(self, columns: Collection[str]) -> None:
        """Raise EnsembleFeatureError unless all features are among `columns`."""
        there = set(columns)
        absent = [name for name in self.features if name not in there]
        if absent:
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            raise EnsembleFeatureError(
                f"the data lacks {len(absent)} of {len(self.features)} features: {', '.join(absent[:5])}{more}",
                f"use data of version {self.description['data_version']}, or train on the new version",
            )

    @property
    def needs_whole_eras(self) -> bool:
        """Whether a member does."""
        return any(map(needs_whole_eras, self.members.values()))

    def predict_members(self, x: Codes, *, plan: Plan | None = None) -> FloatArray:
        """float64[n, k]: the raw prediction of each member for some rows; NaN of members that need whole eras."""
        unknown = np.full(len(x), np.nan)
        models = self.members.values()
        return np.stack([unknown if needs_whole_eras(one) else one.predict(x, plan=plan) for one in models], axis=1)

    def completed(self, members: FloatArray, x: Codes, eras: Offsets, *, plan: Plan | None = None) -> FloatArray:
        """float64[n, k]: `members` with the predictions of those that need whole eras.

        Args:
            members: from `predict_members`, of the rows of x.
            x: int8[n, f], whole eras.
            eras: their offsets.
        """
        filled = members.copy()
        for column, model in enumerate(self.members.values()):
            if needs_whole_eras(model):
                filled[:, column] = predict_in_eras(model, x, eras, plan=plan)
        return filled

    @cached_property
    def _blend(self) -> Blend:
        """The method that the description names."""
        return find_blend(self.description.get("method"))

    @cached_property
    def weights(self) -> FloatArray:
        """float64[k]: what each member weighs in the blend, in the order of `members`; 1 together."""
        return member_weights(self.description["members"])

    @property
    def neutralises(self) -> bool:
        """Whether `finish` needs the features."""
        return "neutralise" in self.description

    def finish(self, members: FloatArray, groups: EraGroups, codes_of: CodesOf | None = None) -> FloatArray:
        """float64[n]: the ensemble's prediction of whole eras: its blend with its weights, then neutralisation.

        Eras do not touch each other, so they may come one at a time. That a member is not constant over all that
        belongs together is for the caller to check; in a single era it may be.

        Args:
            members: float64[n, k] from `predict_members` and `completed`.
            groups: the eras of the rows.
            codes_of: int8[rows of the era, f] by the position of the era in `groups`, all features in the order of
                `features`; asked only of an ensemble that `neutralises`, one era at a time.

        Raises:
            StageNaN: a member's prediction is not finite.
            NothingLeftError: nothing is left of an era after neutralisation.
            FeaturesNeededError: the ensemble neutralises and `codes_of` is None.
            UnknownBlendError, BlendWeightsError: the description names no known blend, or its weights do not fit.
        """
        blend = self._blend.combine(members, groups, self.weights)
        if not self.neutralises:
            return blend
        if codes_of is None:
            raise FeaturesNeededError("this ensemble neutralises its blend to features", "pass codes_of")
        columns, whole = self._neutralised_columns, codes_of
        return neutralised_blend(
            blend,
            groups,
            codes_of if columns is None else lambda era: whole(era)[:, columns],
            float(self.description["neutralise"]["proportion"]),
        )

    @cached_property
    def _neutralised_columns(self) -> npt.NDArray[np.int64] | None:
        """Positions of the features that are neutralised to; None: all."""
        names = self.description["neutralise"]["features"]
        place = {name: position for position, name in enumerate(self.features)}
        return None if names == list(self.features) else np.array([place[name] for name in names], dtype=np.int64)

    def blend(self, members: FloatArray, groups: EraGroups, codes_of: CodesOf | None = None) -> FloatArray:
        """`finish` for all rows that belong together, after a look at each member over all of them.

        Raises:
            StageNaN, ConstantPredictionsError: a member's predictions are of no use.
        """
        for name, column in zip(self.members, members.T, strict=True):
            check_predictions(column, name)
        return self.finish(members, groups, codes_of)

    def predict(self, x: Codes, groups: EraGroups, *, plan: Plan | None = None) -> FloatArray:
        """float64[n]: predictions of whole eras, x int8[n, f] in the order of `features`."""
        members = self.completed(self.predict_members(x, plan=plan), x, groups.offsets, plan=plan)
        return self.blend(members, groups, lambda era: x[groups.offsets[era] : groups.offsets[era + 1]])


def read_ensemble(folder: Path | str) -> dict[str, Any]:
    """The description of an ensemble, without its models.

    Raises:
        DamagedEnsembleError: there is none, or its signature is not that of its content.
    """
    path = Path(folder) / ENSEMBLE_FILE
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        signed = {name: value for name, value in description.items() if name != "signature"}
        known = NEUTRALISING_FORMAT if "neutralise" in description else FORMAT
        if description["format"] != known or value_sha256(signed) != description["signature"]:
            raise ValueError("its signature does not belong to its content")
        odd = [member["name"] for member in description["members"] if not is_plain_name(member["name"])]
        if odd:
            raise ValueError(f"a member is called {str(odd[0])[:60]!r}, which is no name of a folder")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DamagedEnsembleError(f"{path} cannot be used: {error}", "blend the members again") from error
    return description


def write_ensemble(
    folder: Path,
    members: Mapping[str, Path],
    *,
    features: Sequence[str],
    method: str,
    weights: Sequence[float],
    target: str,
    horizon_days: int,
    data_version: str,
    neutralise: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Copy the members' models into `folder` and describe them in `ensemble.json`, which is written last.

    Args:
        folder: emptied first.
        members: name -> folder of a saved model.
        features: in the order of the columns that the members were fitted on.
        method: a row of `BLENDS`.
        weights: of the members, in their order; 1 together.
        neutralise: what is taken out of the blend: `proportion`, and `features`, some or all of those above in their
            order. None: nothing, and the folder is as it was before there was such a thing.

    Returns:
        The description. Its signature is the same whenever the same models are blended in the same way.

    Raises:
        SettingsError: a feature to neutralise to is not one of the ensemble's, or they are not in its order.
        UnknownBlendError: there is no such method.
        BlendWeightsError: the weights do not fit the members.
    """
    find_blend(method)
    shares = checked_weights(weights, list(members)).tolist()
    taken_out = {} if neutralise is None else {"neutralise": _neutralisation(neutralise, features)}
    with storage_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        for name, source in members.items():
            shutil.copytree(source, folder / "models" / name)
    described = [
        _describe(folder / "models" / name, name, weight) for name, weight in zip(members, shares, strict=True)
    ]
    description = {
        "format": NEUTRALISING_FORMAT if taken_out else FORMAT,
        "members": described,
        "method": method,
        "features": list(features),
        "missing_code": MISSING_CODE,
        "target": target,
        "horizon_days": horizon_days,
        "data_version": data_version,
        "versions": _versions(folder, members),
        **taken_out,
    }
    description["signature"] = value_sha256(description)
    write_json(folder / ENSEMBLE_FILE, description)
    return description


def _neutralisation(asked: Mapping[str, Any], features: Sequence[str]) -> dict[str, Any]:
    proportion, names = float(asked["proportion"]), list(asked["features"])
    if names != [name for name in features if name in set(names)] or not names or not 0 < proportion <= 1:
        raise SettingsError(
            f"cannot neutralise {proportion:g} of the blend to {len(names)} features that are not all among the "
            f"ensemble's {len(features)}, in their order",
            "choose a proportion above 0 and a set within data.features",
        )
    return {"proportion": proportion, "features": names}


def _describe(place: Path, name: str, weight: float) -> dict[str, Any]:
    return {"name": name, "kind": read_description(place)["kind"], "weight": weight, "files": _hashes(place)}


def _versions(folder: Path, members: Collection[str]) -> dict[str, str]:
    models = [read_description(folder / "models" / name) for name in members]
    versions = {str(model["library"]): str(model["library_version"]) for model in models}
    return {**versions, "numpy": np.__version__, "python": platform.python_version()}


def _hashes(place: Path) -> dict[str, str]:
    """Every file of a member, also in folders of its own: relative path to sha256."""
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return {path.relative_to(place).as_posix(): file_sha256(path) for path in files}
