"""XGBoost, histograms over five bins, fed by an iterator; from disk when memory is short."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from eraflow.machine.plan import Plan
from models.base.fitted import check_saved_is_fitted
from models.base.protocol import Codes, FloatArray, ModelSettingsError
from models.base.ranges import Range
from models.base.rows import TrainingRows, level_matrix
from models.boosters import treeranges
from models.boosters.booster import BoosterModel
from models.boosters.fitwatch import FitWatch
from models.boosters.prepared import Prepared


class XGBoostModel(BoosterModel):
    """Depth-wise trees.

    Memory: about two bytes for each value of the matrix (bins row-wise and column-wise). With `plan.low_memory` the
    bins lie in a file in the scratch folder, one byte for each value, and are read page by page; the model is the
    same to the last bit, and its saved bytes do not depend on `threads` and `rows_in_memory` either.
    `plan.device` "cuda" works with the usual wheel.
    """

    kind = "xgboost"
    library = "xgboost"
    file_name = "model.ubj"
    length_name = "n_estimators"
    rate_name = "learning_rate"
    other_names: ClassVar[Mapping[str, str]] = {
        "num_boost_round": "n_estimators",
        "num_iterations": "n_estimators",
        "iterations": "n_estimators",
        "eta": "learning_rate",
        "colsample": "colsample_bytree",
        "reg_lambda": "lambda",
        "reg_alpha": "alpha",
        "min_split_loss": "gamma",
        "random_state": "seed",
        "n_jobs": "nthread",
    }
    reserved = frozenset({"nthread", "seed", "device", "verbosity", "early_stopping_rounds", "num_class"})
    binning = frozenset({"max_bin", "tree_method", "device"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "n_estimators": 2000,
        "learning_rate": 0.01,
        "max_depth": 5,
        "colsample_bytree": 0.1,
        "subsample": 1.0,
        "max_bin": 8,
        "tree_method": "hist",
    }

    @staticmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """See `models.base.searched.Searched`."""
        return (
            treeranges.rate("learning_rate", float(known["learning_rate"])),
            treeranges.depth("max_depth"),
            treeranges.columns("colsample_bytree", features),
            treeranges.leaf_rows("min_child_weight", rows, 1),
            treeranges.squares("lambda", rows, 1.0),
        )

    def _settings(self, plan: Plan, seed: int) -> dict[str, Any]:
        return {
            **self.params,
            "learning_rate": self.params["learning_rate"] * plan.rate_factor,
            "nthread": plan.threads,
            "seed": seed,
            "device": plan.device,
            "verbosity": 1,  # warnings, which name unknown parameters; they are read below
        }

    def _bins(self, rows: TrainingRows, settings: Mapping[str, Any], plan: Plan, parts: Mapping[str, Any]) -> Prepared:
        # Not kept between fits: the library writes only unbinned matrices to a file that it can read back.
        if not plan.low_memory:
            return Prepared(parts, _matrix(rows, settings, None))
        folder = tempfile.TemporaryDirectory(prefix="xgboost-", dir=self.scratch)
        try:
            return Prepared(parts, _matrix(rows, settings, folder.name), folder.cleanup)
        except BaseException:
            folder.cleanup()
            raise

    def _train(self, prepared: Prepared, rows: TrainingRows, settings: dict[str, Any], course: FitWatch) -> Any:
        settings = dict(settings)
        trees = settings.pop("n_estimators")
        prepared.bins.set_label(rows.labels)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            booster = xgb.train(settings, prepared.bins, trees, callbacks=[_AfterTree(course)])
        _refuse_unknown(said)
        return booster

    def _predict_tile(self, tile: Codes, threads: int) -> npt.NDArray[np.floating[Any]]:
        self._booster.set_param({"nthread": threads, "device": "cpu"})
        return np.asarray(self._booster.inplace_predict(np.ascontiguousarray(tile)))

    def gain(self) -> FloatArray:
        """Gain of the splits on each feature."""
        gain = np.zeros(self._columns.count(self.n_features))
        for name, value in self._booster.get_score(importance_type="total_gain").items():
            gain[int(name.removeprefix("f"))] = value
        return gain

    def contributions(self, tile: Codes, threads: int) -> FloatArray:
        """SHAP values; see `models.base.protocol.Explained`."""
        self._booster.set_param({"nthread": threads, "device": "cpu"})
        matrix = xgb.DMatrix(tile, nthread=threads)
        return np.asarray(self._booster.predict(matrix, pred_contribs=True), dtype=np.float64)

    def _to_bytes(self) -> bytes:
        return bytes(self._booster.save_raw("ubj"))

    def portable(self) -> bytes:
        """The model as JSON whose `base_score` is a number, as versions before 3.1 write it.

        3.1 and newer write a list of one number, which 3.0 silently reads as 0.5: all predictions shift.
        """
        check_saved_is_fitted(self.kind, fitted=self._booster is not None)
        model = json.loads(bytes(self._booster.save_raw("json")))
        described = model["learner"]["learner_model_param"]
        described["base_score"] = described["base_score"].strip("[]")
        return json.dumps(model, separators=(",", ":")).encode("utf-8")

    def _from_file(self, path: Path) -> Any:
        return xgb.Booster(model_file=bytearray(path.read_bytes()))

    @classmethod
    def library_version(cls) -> str:
        """Version of xgboost."""
        return str(xgb.__version__)

    @classmethod
    def _library_error(cls) -> type[Exception]:
        return xgb.core.XGBoostError  # type: ignore[no-any-return]


class _Tiles(xgb.DataIter):  # type: ignore[misc]
    """The rows as XGBoost asks for them. With a cache folder the library keeps its bins in files there."""

    def __init__(self, rows: TrainingRows, cache_folder: str | None) -> None:
        self._rows, self._waiting = rows, rows.tiles()
        super().__init__(cache_prefix=None if cache_folder is None else f"{cache_folder}/bins")

    def reset(self) -> None:
        """Begin again at the first tile."""
        self._waiting = self._rows.tiles()

    def next(self, input_data: Any) -> bool:
        """Hand over the next tile; False when there is none."""
        rows = next(self._waiting, None)
        if rows is None:
            return False
        input_data(data=np.ascontiguousarray(self._rows[rows]), label=self._rows.labels[rows])
        return True


def _matrix(rows: TrainingRows, settings: Mapping[str, Any], cache_folder: str | None) -> Any:
    """Bins of the rows, with the cuts of a matrix that holds each level: no pass over the data to find them."""
    common = {"max_bin": settings["max_bin"], "nthread": settings["nthread"]}
    levels = level_matrix(rows.n_features)
    reference = xgb.QuantileDMatrix(levels, label=np.zeros(len(levels), dtype=np.float32), **common)
    kind = xgb.QuantileDMatrix if cache_folder is None else xgb.ExtMemQuantileDMatrix
    return kind(_Tiles(rows, cache_folder), ref=reference, **common)


class _AfterTree(xgb.callback.TrainingCallback):  # type: ignore[misc]
    def __init__(self, course: FitWatch) -> None:
        super().__init__()
        self._course = course

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Count the tree; True ends the training."""

        def tile(codes: Codes, first: int, last: int) -> npt.NDArray[np.floating[Any]]:
            return np.asarray(
                model.inplace_predict(
                    np.ascontiguousarray(codes),
                    iteration_range=(first, last),
                    predict_type="margin",
                    base_margin=np.zeros(len(codes), dtype=np.float32),
                )
            )

        return self._course.tree(epoch + 1, tile)


def _refuse_unknown(said: Sequence[warnings.WarningMessage]) -> None:
    """XGBoost only warns of names it does not use: `Parameters: { "max_depht" } are not used`."""
    text = " ".join(str(warning.message) for warning in said)
    found = re.search(r"Parameters: \{(.*?)\} are not used", text, re.S)
    if found:
        raise ModelSettingsError(
            f"xgboost has no use for {found[1].strip()}", "correct the name in the params of the xgboost model"
        )
