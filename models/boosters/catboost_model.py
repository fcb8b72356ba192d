"""CatBoost, plain boosting of symmetric trees over five levels."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import catboost
import numpy as np
import numpy.typing as npt

from eraflow.machine.plan import Plan
from models.base.protocol import Codes, FloatArray
from models.base.ranges import Range
from models.base.rows import LEVELS, Columns, TrainingRows, tiles
from models.boosters import treeranges
from models.boosters.booster import BoosterModel
from models.boosters.catboost_watch import (
    AfterTree,
    HoldoutModel,
    LastPredictions,
    holdout_of,
    unwatched,
    without_numba,
)
from models.boosters.columnfile import column_file
from models.boosters.fitwatch import FitWatch
from models.boosters.prepared import Prepared

COLUMN_TILE_ROWS = 16_384
# Metadata that differ from one training to the next: a random name, the time, and the learning curve, whose last digits
# depend on the number of threads (the trees do not).
NO_CURVE: dict[str, Any] = {
    "learn_best_error": {},
    "test_metrics_history": [],
    "learn_metrics_history": [],
    "test_best_error": [],
}
SAME_METADATA = {"model_guid": "", "train_finish_time": "", "training": json.dumps({"metrics": NO_CURVE})}


class CatBoostModel(BoosterModel):
    """Symmetric trees.

    Memory: one byte for each value as int8 in column order, which CatBoost reads without a copy, and one byte as its
    own bins. With `plan.low_memory` the columns lie in a file in the scratch folder, which the kernel can drop from
    memory, and only the bins are left; the library has no leaner ones. The saved bytes do not depend on `threads`,
    `rows_in_memory` and `low_memory`; for that the learning curve is left out of the file. `plan.device` "cuda" works
    only with `colsample` 1, because the GPU trainer cannot draw features; otherwise the CPU is used.
    """

    kind = "catboost"
    library = "catboost"
    file_name = "model.cbm"
    length_name = "iterations"
    rate_name = "learning_rate"
    other_names: ClassVar[Mapping[str, str]] = {
        "n_estimators": "iterations",
        "num_boost_round": "iterations",
        "num_trees": "iterations",
        "num_iterations": "iterations",
        "eta": "learning_rate",
        "max_depth": "depth",
        "colsample": "rsm",
        "colsample_bylevel": "rsm",
        "colsample_bytree": "rsm",
        "reg_lambda": "l2_leaf_reg",
        "max_bin": "border_count",
        "objective": "loss_function",
        "random_state": "random_seed",
        "min_child_samples": "min_data_in_leaf",
        "num_leaves": "max_leaves",
    }
    reserved = frozenset(
        {
            "thread_count",
            "random_seed",
            "task_type",
            "devices",
            "verbose",
            "silent",
            "logging_level",
            "verbose_eval",
            "allow_writing_files",
            "train_dir",
            "early_stopping_rounds",
            "od_type",
            "od_wait",
            "use_best_model",
            "cat_features",
            "eval_metric",  # there is nothing to evaluate on; a watch uses its place
            "used_ram_limit",
            "metric_period",
            "save_snapshot",
            "snapshot_file",
            "border_count",  # four borders hold five levels; any other number only loses something
            "feature_border_type",
        }
    )
    binning = frozenset({"task_type"})
    looks_inside = False
    # rsm .1 and depth 5 as in the example settings of the tournament. The rate is twice theirs: symmetric trees are
    # weaker, and 2000 of them should be enough.
    defaults: ClassVar[Mapping[str, Any]] = {
        "iterations": 2000,
        "learning_rate": 0.02,
        "depth": 5,
        "rsm": 0.1,
        "loss_function": "RMSE",
        "boosting_type": "Plain",
    }

    @staticmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """See `models.base.searched.Searched`."""
        strength = Range(
            "random_strength",
            0.1,
            10.0,
            "noise on the scores of splits, fading as the model grows; a tenth to ten times the default",
            regulariser=True,
            default=1.0,
        )
        return (
            treeranges.rate("learning_rate", float(known["learning_rate"])),
            treeranges.depth("depth"),
            treeranges.columns("rsm", features),
            treeranges.squares("l2_leaf_reg", rows, 3.0),
            strength,
        )

    def _settings(self, plan: Plan, seed: int) -> dict[str, Any]:
        return {
            **self.params,
            "learning_rate": self.params["learning_rate"] * plan.rate_factor,
            "thread_count": plan.threads,
            "random_seed": seed,
            "task_type": "GPU" if plan.device == "cuda" else "CPU",
            "logging_level": "Silent",
            "allow_writing_files": False,
        }

    def _parts(self, rows: TrainingRows, settings: Mapping[str, Any]) -> dict[str, Any]:
        # A pool cannot be given other labels.
        return {**super()._parts(rows, settings), "labels": hashlib.sha256(rows.labels.tobytes()).hexdigest()}

    def _bins(self, rows: TrainingRows, settings: Mapping[str, Any], plan: Plan, parts: Mapping[str, Any]) -> Prepared:
        # Not kept between fits: writing a quantised pool to a file takes two more bytes for each value.
        return Prepared(parts, _pool(rows, settings, self._columns_of(rows, plan)))

    def _columns_of(self, rows: TrainingRows, plan: Plan) -> Codes:
        """The rows in column order: in row order CatBoost would copy them as float32."""
        if plan.low_memory:
            return column_file(rows, self.scratch)
        columns = np.empty((rows.n_rows, rows.n_features), dtype=np.int8, order="F")
        for part in tiles(rows.n_rows, min(rows.tile, COLUMN_TILE_ROWS)):
            columns[part] = rows[part]
        return columns

    def _train(self, prepared: Prepared, rows: TrainingRows, settings: dict[str, Any], course: FitWatch) -> Any:
        if settings["task_type"] == "GPU":  # no callbacks there, and so nobody looks
            learner = catboost.CatBoost(settings)
            learner.fit(prepared.bins)
            return learner
        holdout = holdout_of(course.looks)
        if holdout is None:
            learner = catboost.CatBoost(settings)
            learner.fit(prepared.bins, callbacks=[AfterTree(course, None)])
            return learner
        last = LastPredictions()
        learner = catboost.CatBoost({**settings, "eval_metric": last, "use_best_model": False})
        watched = AfterTree(course, HoldoutModel(holdout, last))
        pool = catboost.Pool(_in_columns(self._columns, holdout), np.zeros(len(holdout), dtype=np.float32))
        without_numba(lambda: learner.fit(prepared.bins, eval_set=pool, callbacks=[watched]))
        return learner

    def _predict_tile(self, tile: Codes, threads: int) -> npt.NDArray[np.floating[Any]]:
        return np.asarray(self._booster.predict(np.ascontiguousarray(tile), thread_count=threads))

    def gain(self) -> FloatArray:
        """PredictionValuesChange: how much a prediction changes when the feature does."""
        return np.asarray(self._booster.get_feature_importance(type="PredictionValuesChange"), dtype=np.float64)

    def contributions(self, tile: Codes, threads: int) -> FloatArray:
        """SHAP values; see `models.base.protocol.Explained`."""
        found = self._booster.get_feature_importance(catboost.Pool(tile), type="ShapValues", thread_count=threads)
        return np.asarray(found, dtype=np.float64)

    def _to_bytes(self) -> bytes:
        metadata = self._booster.get_metadata()
        for name, value in SAME_METADATA.items():  # so that the same training gives the same file
            metadata[name] = value
        said = re.sub(r'"thread_count":\d+', '"thread_count":1', metadata["params"])
        metadata["params"] = unwatched(said)
        with tempfile.TemporaryDirectory(prefix="catboost-") as folder:
            path = Path(folder) / self.file_name
            self._booster.save_model(str(path))
            return path.read_bytes()

    def _from_file(self, path: Path) -> Any:
        learner = catboost.CatBoost()
        learner.load_model(str(path))
        return learner

    @classmethod
    def library_version(cls) -> str:
        """Version of catboost."""
        return str(catboost.__version__)

    @classmethod
    def _library_error(cls) -> type[Exception]:
        return catboost.CatBoostError  # type: ignore[no-any-return]


def _pool(rows: TrainingRows, settings: Mapping[str, Any], columns: Codes) -> Any:
    """The quantised rows."""
    pool = catboost.Pool(columns, rows.labels, thread_count=settings["thread_count"])
    # Four equally spaced borders between 0 and 4 lie between the levels.
    pool.quantize(border_count=LEVELS - 1, feature_border_type="Uniform", task_type=settings["task_type"])
    return pool


def _in_columns(chosen: Columns, x: Codes) -> Codes:
    """The used columns of x, in column order."""
    columns = np.empty((len(x), chosen.count(x.shape[1])), dtype=np.int8, order="F")
    for part in tiles(len(x), COLUMN_TILE_ROWS):
        columns[part] = chosen.of(x[part])
    return columns
