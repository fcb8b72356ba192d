"""What predicts: an ensemble, or a single saved model with the names of its features."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eraflow import __version__
from eraflow.data.readable import require_file
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.errors import EraflowError, SettingsError
from eraflow.kinds import KINDS, LIBRARIES
from eraflow.machine.plan import Plan
from eraflow.scoring.insample import UNKNOWN, Origin, origin_of
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import MODEL_FILE, Codes, DamagedModelError, FloatArray, Model, read_description
from models.base.wholeeras import needs_whole_eras, one_era, predict_in_eras
from models.ensembles.ensemble import ENSEMBLE_FILE, Ensemble, EnsembleFeatureError, read_ensemble
from models.kinds import load_model

STORE_LAYOUT = Path("features/store/layout.json")
"""Where the run that trained a model keeps the names of the features; see `eraflow.erastore.erareader`."""
MOST_NAMES_BYTES = 10_000_000


class Predictor(Protocol):
    """What turns the features of an era into predictions."""

    @property
    def keeps_codes(self) -> bool:
        """Whether `finish` looks at the features of the whole era."""

    @property
    def needs_whole_eras(self) -> bool:
        """Whether a member can only predict a whole era; see `completed`."""

    @property
    def features(self) -> tuple[str, ...]:
        """The features in the order of the columns of x."""

    @property
    def signature(self) -> str:
        """What it is, as one hash."""

    @property
    def names(self) -> tuple[str, ...]:
        """The members."""

    @property
    def origin(self) -> Origin:
        """What its members learned from, which its predictions carry with them."""

    def check_features(self, columns: Collection[str]) -> None:
        """Raise EnsembleFeatureError unless all features are among `columns`."""

    def predict_members(self, x: Codes, *, plan: Plan | None = None) -> FloatArray:
        """float64[n, k]: the raw prediction of each member for some rows of an era; NaN where it needs it whole."""

    def completed(self, members: FloatArray, codes: Codes, *, plan: Plan | None = None) -> FloatArray:
        """float64[n, k]: the predictions of one whole era with those of the members that need it whole."""

    def finish(self, members: FloatArray, codes: Callable[[], Codes]) -> FloatArray:
        """float64[n]: the predictions of one whole era; `codes` gives its features where they are looked at."""


def load_predictor(folder: Path | str, features: Path | None = None) -> Predictor:
    """The ensemble or the model that is saved in a folder, every file checked against its sha256.

    Args:
        folder: holds ensemble.json, or the model.json of a training stage's `model/`.
        features: JSON list of the feature names of a single model, in the order of its columns. Without it they are
            looked for where a run or an ensemble keeps them.

    Raises:
        DamagedEnsembleError, DamagedModelError: something is missing or changed.
        SettingsError: nobody tells the features of a single model.
    """
    folder = Path(folder)
    if (folder / MODEL_FILE).is_file() and not (folder / ENSEMBLE_FILE).exists():
        return SingleModel.load(folder, features)
    loaded = Ensemble.load(folder)
    members = [folder / "models" / name for name in loaded.members]
    return WholeEnsemble(loaded, origin_of(members))


class WholeEnsemble:
    """An ensemble; see `Predictor`."""

    def __init__(self, ensemble: Ensemble, origin: Origin = UNKNOWN) -> None:
        self._ensemble = ensemble
        self._origin = origin

    @property
    def origin(self) -> Origin:
        """Of all members together."""
        return self._origin

    @property
    def keeps_codes(self) -> bool:
        """Whether it neutralises."""
        return self._ensemble.neutralises

    @property
    def needs_whole_eras(self) -> bool:
        """Whether a member does."""
        return self._ensemble.needs_whole_eras

    @property
    def features(self) -> tuple[str, ...]:
        """As the ensemble has them."""
        return self._ensemble.features

    @property
    def signature(self) -> str:
        """That of the ensemble."""
        return self._ensemble.signature

    @property
    def names(self) -> tuple[str, ...]:
        """Its members."""
        return tuple(self._ensemble.members)

    def check_features(self, columns: Collection[str]) -> None:
        """See `Predictor`."""
        self._ensemble.check_features(columns)

    def predict_members(self, x: Codes, *, plan: Plan | None = None) -> FloatArray:
        """See `Predictor`."""
        return self._ensemble.predict_members(x, plan=plan)

    def completed(self, members: FloatArray, codes: Codes, *, plan: Plan | None = None) -> FloatArray:
        """See `Predictor`."""
        return self._ensemble.completed(members, codes, one_era(len(codes)), plan=plan)

    def finish(self, members: FloatArray, codes: Callable[[], Codes]) -> FloatArray:
        """The blend of one era, neutralised where the ensemble says so."""
        return self._ensemble.finish(members, EraGroups.from_sizes([len(members)]), lambda _: codes())


@dataclass(frozen=True)
class SingleModel:
    """One saved model, whose predictions stay as they are; see `Predictor`."""

    model: Model
    features: tuple[str, ...]
    signature: str
    name: str
    origin: Origin = UNKNOWN
    keeps_codes: bool = False

    @classmethod
    def load(cls, folder: Path, features: Path | None) -> SingleModel:
        """Read a training stage's `model/`, or a member of an ensemble."""
        described = read_description(folder)
        names = _names_in(features) if features is not None else _names_beside(folder)
        if names is None:
            raise SettingsError(
                f"{folder} is a single model, and nothing beside it tells its features",
                "name a JSON file with the list of their names by --features",
            )
        if len(names) != int(described["n_features"]):
            raise DamagedModelError(
                f"{folder} was fitted on {described['n_features']} features, and {len(names)} names are given",
                "name the features of the data it was fitted on",
            )
        signature = value_sha256({"model": file_sha256(folder / MODEL_FILE), "features": names})
        origin = origin_of([folder])
        return cls(load_model(folder), tuple(names), signature, str(described["kind"]), origin)

    @property
    def names(self) -> tuple[str, ...]:
        """Its kind."""
        return (self.name,)

    def check_features(self, columns: Collection[str]) -> None:
        """See `Predictor`."""
        there = set(columns)
        absent = [name for name in self.features if name not in there]
        if absent:
            raise EnsembleFeatureError(
                f"the data lacks {len(absent)} of {len(self.features)} features: {', '.join(absent[:5])}",
                "use data of the version that the model was trained on",
            )

    def predict_members(self, x: Codes, *, plan: Plan | None = None) -> FloatArray:
        """See `Predictor`."""
        return np.full((len(x), 1), np.nan) if self.needs_whole_eras else self.model.predict(x, plan=plan)[:, None]

    @property
    def needs_whole_eras(self) -> bool:
        """Whether the model does."""
        return needs_whole_eras(self.model)

    def completed(self, members: FloatArray, codes: Codes, *, plan: Plan | None = None) -> FloatArray:
        """See `Predictor`."""
        return predict_in_eras(self.model, codes, one_era(len(codes)), plan=plan)[:, None]

    def finish(self, members: FloatArray, codes: Callable[[], Codes]) -> FloatArray:
        """The raw predictions."""
        return members[:, 0]


def kinds_in(folder: Path | str) -> frozenset[str]:
    """The kinds of the models in a folder, without loading them; none where it cannot be read, which loading names."""
    folder = Path(folder)
    try:
        if (folder / ENSEMBLE_FILE).exists():
            return frozenset(str(member["kind"]) for member in read_ensemble(folder)["members"])
        return frozenset({str(read_description(folder)["kind"])})
    except EraflowError:
        return frozenset()


def whole_eras_in(folder: Path | str) -> bool:
    """Whether a model in a folder needs whole eras, told without loading it; False where it cannot be read."""
    folder = Path(folder)
    try:
        named = read_ensemble(folder)["members"] if (folder / ENSEMBLE_FILE).exists() else []
        places = [folder / "models" / str(member["name"]) for member in named] or [folder]
        described = [read_description(place) for place in places]
    except EraflowError:
        return False
    rows = [KINDS.get(str(one["kind"])) for one in described]
    return any(one.get("needs_whole_eras") is True for one in described) or any(
        row is not None and row.needs_whole_eras for row in rows
    )


def library_versions(names: Sequence[str] = (*LIBRARIES, "numpy", "scipy")) -> dict[str, str]:
    """Versions of Eraflow and of what may decide the last bit of a prediction; read without importing anything."""
    found = {"eraflow": __version__}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _names_in(path: Path) -> list[str]:
    remedy = "name a JSON list of feature names"
    try:
        if require_file(path, remedy).st_size > MOST_NAMES_BYTES:  # a device or a pipe may have no end, and has no size
            raise SettingsError(f"{path} is too large for a list of names", remedy)
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", "name a JSON list of feature names") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"{path} is no list of names", "name a JSON list of feature names, in the model's order")
    return names


def _names_beside(folder: Path) -> list[str] | None:
    """Names from the ensemble that the model lies in, or from the era store of the run that trained it."""
    above = folder.resolve().parents
    for place in (above[1] / ENSEMBLE_FILE, above[1] / STORE_LAYOUT) if len(above) > 1 else ():
        try:
            found: Any = json.loads(place.read_text(encoding="utf-8"))["features"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, list):
            return [str(name) for name in found]
    return None
