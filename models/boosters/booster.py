"""What the three gradient boosting libraries have in common here: parameters, progress, prediction in tiles, files."""

from __future__ import annotations

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from eraflow.disk.digest import value_sha256
from eraflow.machine.plan import Plan
from models.base.fitted import check_features, check_finite, check_saved_is_fitted
from models.base.meter import Meter
from models.base.protocol import (
    Codes,
    ConstantPredictionsError,
    FloatArray,
    ModelSettingsError,
    ProgressFn,
)
from models.base.rows import Columns, TrainingRows, level_matrix, tile_rows, tiles
from models.base.saved import read_model, trained_with, write_model
from models.boosters.bincache import BinCache
from models.boosters.boosterparameters import BoosterParameters
from models.boosters.fitwatch import FitWatch, Looks, TiledModel, TileFn, TreeWatch
from models.boosters.prepared import Prepared, parts_of

TRIAL_FEATURES = 8
NOTHING_TO_LEARN = ("targets are equal", "constant or ignored")  # CatBoost's words; the others fit a constant
UNBOUNDED_DEPTH = 12


class BoosterModel(BoosterParameters, ABC):
    """A gradient boosting model.

    A subclass states its library's names and implements the steps below. `params` accepts the library's own names
    and these common ones, which mean the same everywhere: n_estimators, learning_rate, max_depth, colsample (fraction
    of features that a tree may use).

    Attributes:
        params: the settings in the library's own names, defaults included.
        columns: ascending positions of the columns of x that it uses; None: all.
        n_features: width of the x it was fitted on, used columns or not; 0 before.
        trained_with: what of the plan has changed the model: rate_factor, work_factor and the trees they came to.
    """

    file_name: ClassVar[str]
    library: ClassVar[str]
    length_unit = "trees"
    looks_add = True
    binning: ClassVar[frozenset[str]]
    """The settings that decide the bins; the others may differ between fits of the same prepared rows."""
    looks_inside: ClassVar[bool] = True
    """Whether a watch may predict any rows while it trains; if not, only its `holdout` (see `TreeWatch`)."""

    def __init__(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        scratch: Path | None = None,
        checkpoints: Path | None = None,  # not used: a fold is short, and the libraries cannot go on to the same bytes
        columns: Sequence[int] | None = None,
        bins: BinCache | None = None,
    ) -> None:
        given = self._own_names(params or {})
        self.params = {**self.defaults, **given}
        self.scratch = scratch
        self.bins = bins
        self._columns = Columns(columns)
        self.n_features = 0
        self.trained_with: dict[str, Any] = {}
        self._booster: Any = None
        if given:
            self._check_numbers()
            self._try_out(given)

    # The steps of a library.

    @abstractmethod
    def _bins(self, rows: TrainingRows, settings: Mapping[str, Any], plan: Plan, parts: Mapping[str, Any]) -> Prepared:
        """The rows in the library's bins."""

    @abstractmethod
    def _train(self, prepared: Prepared, rows: TrainingRows, settings: dict[str, Any], course: FitWatch) -> Any:
        """Fit the trees that the settings ask for, with the labels of `rows`; returns the library's own model."""

    @abstractmethod
    def _settings(self, plan: Plan, seed: int) -> dict[str, Any]:
        """`self.params` and what plan and seed decide, as the library wants them."""

    @abstractmethod
    def _predict_tile(self, tile: Codes, threads: int) -> npt.NDArray[np.floating[Any]]:
        """The raw predictions of some rows."""

    @abstractmethod
    def _to_bytes(self) -> bytes:
        """The model as the content of a file; nothing in it depends on when it was made."""

    def portable(self) -> bytes:
        """The model in a form that also older versions of the library read."""
        check_saved_is_fitted(self.kind, fitted=self._booster is not None)
        return self._to_bytes()

    @abstractmethod
    def _from_file(self, path: Path) -> Any:
        """The inverse: the library's own model."""

    @abstractmethod
    def gain(self) -> FloatArray:
        """See `models.base.protocol.Explained`."""

    @abstractmethod
    def contributions(self, tile: Codes, threads: int) -> FloatArray:
        """See `models.base.protocol.Explained`; by the library's own TreeSHAP."""

    @classmethod
    @abstractmethod
    def library_version(cls) -> str:
        """Version of the library."""

    @classmethod
    @abstractmethod
    def _library_error(cls) -> type[Exception]:
        """What the library raises, on a parameter it refuses for example."""

    # The protocol.

    @property
    def trees(self) -> int:
        """How many trees are asked for; a plan may allow only a share of them."""
        return int(self.params[self.length_name])

    @property
    def binning_name(self) -> str:
        """Names the settings that decide the bins: models of a kind in which it agrees can share `prepare`d rows."""
        return value_sha256({name: self.params[name] for name in sorted(self.binning & self.params.keys())})

    @property
    def columns(self) -> tuple[int, ...] | None:
        """The columns of x that it uses; None: all."""
        return self._columns.positions

    def contribution_steps(self) -> int:
        """See `models.base.protocol.Explained`."""
        depth = int(self.params.get("max_depth") or self.params.get("depth") or 6)
        depth = depth if depth > 0 else UNBOUNDED_DEPTH
        leaves = int(self.params.get("num_leaves") or self.params.get("max_leaves") or 2**depth)
        return self.trees * leaves * depth**2

    def prepare(self, x: Codes, y: npt.NDArray[np.floating[Any]], *, plan: Plan) -> Prepared:
        """The binned rows of a fit, for many fits of models of this kind whose columns and `binning` settings agree.

        Args:
            x: as for `fit`.
            y: the labels, or for LightGBM and XGBoost any that are known for the same rows.
            plan: `low_memory` decides where the bins lie.
        """
        rows = TrainingRows(x, y, plan.rows_in_memory, self._columns)
        usable = replace(plan, device=self._usable_device(plan))
        settings = self._settings(usable, seed=0)
        return self._bins(rows, settings, usable, self._parts(rows, settings))

    def fit(
        self,
        x: Codes,
        y: npt.NDArray[np.floating[Any]],
        *,
        plan: Plan,
        seed: int,
        progress: ProgressFn | None = None,
        prepared: Prepared | None = None,
        watch: TreeWatch | None = None,
    ) -> None:
        """Learn from the rows with a known target; see `models.base.protocol.Model`.

        Args:
            prepared: the rows, from `prepare` with this x and the same columns and binning settings; x itself is then
                not read.
            watch: looks at the trees every now and then, and may end the fit.

        Raises:
            TrainingDataError: nothing to learn from, or arrays that do not fit.
            ModelSettingsError: `prepared` was made with other binning settings.
        """
        rows = TrainingRows(x, y, plan.rows_in_memory, self._columns)
        usable = replace(plan, device=self._usable_device(plan))
        trees = max(1, round(self.trees * plan.work_factor))
        settings = {**self._settings(usable, seed), self.length_name: trees}
        course = self._course(Meter(progress, trees, "trees"), Looks(watch), rows.width, plan)
        try:
            self._booster = self._learn(rows, settings, usable, prepared, course)
        except self._library_error() as error:
            if not any(text in str(error).lower() for text in NOTHING_TO_LEARN):
                raise
            raise ConstantPredictionsError(
                f"{self.kind} found nothing to learn in {rows.n_rows} rows: {_first_line(str(error))}",
                "check that the target and the features vary in the eras trained on",
            ) from error
        course.meter(trees)
        self.n_features = rows.width
        self.trained_with = trained_with(plan, "rate_factor", "work_factor", trees=course.looks.trees or trees)

    def _learn(
        self, rows: TrainingRows, settings: dict[str, Any], plan: Plan, prepared: Prepared | None, course: FitWatch
    ) -> Any:
        parts = self._parts(rows, settings)
        if prepared is not None:
            prepared.check(parts)
            return self._train(prepared, rows, settings, course)
        with self._bins(rows, settings, plan, parts) as own:
            return self._train(own, rows, settings, course)

    def _parts(self, rows: TrainingRows, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What decides the bins, by name."""
        return {
            **parts_of(rows, self.columns),
            "library": f"{self.library} {self.library_version()}",
            "settings": {name: settings[name] for name in sorted(self.binning & settings.keys())},
        }

    def _course(self, meter: Meter, looks: Looks, width: int, plan: Plan) -> FitWatch:
        def partial(predict_tile: TileFn) -> TiledModel:
            return TiledModel(self._columns, width, plan.rows_in_memory, predict_tile)

        return FitWatch(meter, looks, partial, plan.threads)

    def predict(self, x: Codes, *, plan: Plan | None = None) -> FloatArray:
        """float64[n]: raw predictions, computed in tiles.

        Raises:
            DamagedModelError: it was neither fitted nor loaded, or x has another number of features.
            StageNaN: a prediction is not finite.
        """
        check_features(self.kind, self.n_features, x, fitted=self._booster is not None)
        plan = plan or Plan()
        result = np.empty(len(x), dtype=np.float64)
        for rows in tiles(len(x), tile_rows(self._columns.count(self.n_features), plan.rows_in_memory)):
            result[rows] = self._predict_tile(self._columns.of(x[rows]), plan.threads)
        check_finite(self.kind, result)
        return result

    def save(self, folder: Path) -> None:
        """Write the model and, last, `model.json`."""
        check_saved_is_fitted(self.kind, fitted=self._booster is not None)
        description = {
            "kind": self.kind,
            "n_features": self.n_features,
            **({} if self.columns is None else {"columns": list(self.columns)}),
            "params": self.params,
            "trained_with": self.trained_with,
            "library": self.library,
            "library_version": self.library_version(),
        }
        write_model(folder, self.file_name, self._to_bytes(), description)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DamagedModelError: a file is missing, changed or of another kind.
        """
        description, path = read_model(folder, cls.kind)
        model = cls(columns=description.get("columns"))
        model.params = dict(description.get("params", cls.defaults))
        model.n_features = int(description["n_features"])
        model.trained_with = dict(description.get("trained_with", {}))
        model._booster = model._from_file(path)
        return model

    # Parameters.

    @property
    def _refusals(self) -> tuple[type[Exception], ...]:
        return self._library_error(), ModelSettingsError, TypeError, ValueError

    def _try_out(self, given: Mapping[str, Any]) -> None:
        """Fit one tree on a few made-up rows: the library itself says what it does not accept."""
        try:
            self._trial(Plan(threads=1))
        except ModelSettingsError:
            raise
        except self._refusals as error:
            raise self._refused(given, str(error)) from error

    def _trial(self, plan: Plan) -> None:
        other = copy.copy(self)
        other.bins, other._columns = None, Columns()  # a trial leaves nothing in the cache
        x = level_matrix(TRIAL_FEATURES)
        x = np.stack([np.roll(x[:, i], i) for i in range(TRIAL_FEATURES)], axis=1)
        rows = TrainingRows(x, np.linspace(0, 1, len(x), dtype=np.float32), plan.rows_in_memory)
        settings = {**other._settings(plan, seed=1), self.length_name: 1}
        course = other._course(Meter(None, 1, "trees"), Looks(None), TRIAL_FEATURES, plan)
        other._learn(rows, settings, plan, None, course)

    def _refused(self, given: Mapping[str, Any], text: str) -> ModelSettingsError:
        guilty = [name for name in given if re.search(rf"\b{re.escape(name)}\b", text)] or list(given)
        named = ", ".join(f"{name}={given[name]!r}" for name in guilty)
        return ModelSettingsError(
            f"{self.kind} does not accept {named}: {_first_line(text)}",
            f"correct it in the params of the {self.kind} model",
        )

    def _usable_device(self, plan: Plan) -> Any:
        """The plan's device, or "cpu" when this build of the library or these settings cannot use it."""
        if plan.device == "cpu":
            return "cpu"
        try:
            self._trial(replace(plan, threads=1, low_memory=False))
        except self._refusals:
            return "cpu"
        return plan.device


def _first_line(text: str) -> str:
    """The first line of a library's message, without the place in its source."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    return re.sub(r"^(\[[\d:]+\] )?\S*/\S+:\d+: ", "", line)[:300]
