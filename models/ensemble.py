"""The ensemble: one folder that holds the members, the features in order and all that is needed to predict.

ensemble.json        members, weights, method, features, target, horizon, data version, versions, sha256, signature
models/<name>/...    each member as its model saved it
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.errors import EraflowError
from eraflow.machine.plan import Plan
from eraflow.store.atomic import storage_errors, write_json
from eraflow.store.digest import file_sha256, value_sha256
from eraflow.tournament.ranking import EraGroups
from models.protocol import Codes, FloatArray, Model, check_predictions, load_model, read_description
from models.rankblend import rank_gaussian_blend

ENSEMBLE_FILE = "ensemble.json"
RANK_GAUSSIAN = "rank-gaussian"
MISSING_CODE = 2
FORMAT = 1


class DamagedEnsembleError(EraflowError):
    """An ensemble folder lacks a file, or a file is not the one that was written. Blend again."""

    code = "damaged_ensemble"


class MissingFeatureError(EraflowError):
    """The data lacks features that the ensemble was trained on. Use data of the ensemble's own version."""

    code = "schema_missing_feature"


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
        """
        folder = Path(folder)
        description = read_ensemble(folder)
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
        """Raise MissingFeatureError unless all features are among `columns`."""
        there = set(columns)
        absent = [name for name in self.features if name not in there]
        if absent:
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            raise MissingFeatureError(
                f"the data lacks {len(absent)} of {len(self.features)} features: {', '.join(absent[:5])}{more}",
                f"use data of version {self.description['data_version']}, or train on the new version",
            )

    def predict_members(self, x: Codes, *, plan: Plan | None = None) -> FloatArray:
        """float64[n, k]: the raw prediction of each member for some rows."""
        return np.stack([model.predict(x, plan=plan) for model in self.members.values()], axis=1)

    def blend(self, members: FloatArray, groups: EraGroups) -> FloatArray:
        """float64[n]: blended predictions of whole eras; `members` float64[n, k] from `predict_members`.

        Raises:
            StageNaN, ConstantPredictionsError: a member's predictions are of no use.
        """
        for name, column in zip(self.members, members.T, strict=True):
            check_predictions(column, name)
        return rank_gaussian_blend(members, groups)

    def predict(self, x: Codes, groups: EraGroups, *, plan: Plan | None = None) -> FloatArray:
        """float64[n]: blended predictions of whole eras, x int8[n, f] in the order of `features`."""
        return self.blend(self.predict_members(x, plan=plan), groups)


def read_ensemble(folder: Path | str) -> dict[str, Any]:
    """The description of an ensemble, without its models.

    Raises:
        DamagedEnsembleError: there is none, or its signature is not that of its content.
    """
    path = Path(folder) / ENSEMBLE_FILE
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        signed = {name: value for name, value in description.items() if name != "signature"}
        if description["format"] != FORMAT or value_sha256(signed) != description["signature"]:
            raise ValueError("its signature does not belong to its content")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DamagedEnsembleError(f"{path} cannot be used: {error}", "blend the members again") from error
    return description


def write_ensemble(
    folder: Path,
    members: Mapping[str, Path],
    *,
    features: Sequence[str],
    method: str,
    target: str,
    horizon_days: int,
    data_version: str,
) -> dict[str, Any]:
    """Copy the members' models into `folder` and describe them in `ensemble.json`, which is written last.

    Args:
        folder: emptied first.
        members: name -> folder of a saved model.
        features: in the order of the columns that the members were fitted on.

    Returns:
        The description. Its signature is the same whenever the same models are blended in the same way.
    """
    with storage_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        for name, source in members.items():
            shutil.copytree(source, folder / "models" / name)
    weight = 1 / len(members)
    described = [_describe(folder / "models" / name, name, weight) for name in members]
    description = {
        "format": FORMAT,
        "members": described,
        "method": method,
        "features": list(features),
        "missing_code": MISSING_CODE,
        "target": target,
        "horizon_days": horizon_days,
        "data_version": data_version,
        "versions": _versions(folder, members),
    }
    description["signature"] = value_sha256(description)
    write_json(folder / ENSEMBLE_FILE, description)
    return description


def _describe(place: Path, name: str, weight: float) -> dict[str, Any]:
    return {"name": name, "kind": read_description(place)["kind"], "weight": weight, "files": _hashes(place)}


def _versions(folder: Path, members: Collection[str]) -> dict[str, str]:
    models = [read_description(folder / "models" / name) for name in members]
    versions = {str(model["library"]): str(model["library_version"]) for model in models}
    return {**versions, "numpy": np.__version__, "python": platform.python_version()}


def _hashes(place: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(place.iterdir())} if place.is_dir() else {}
