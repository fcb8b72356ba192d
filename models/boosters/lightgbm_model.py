"""LightGBM with the tournament's example settings, fed tile by tile into bins that are known beforehand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from lightgbm.basic import _ConfigAliases

from eraflow.machine.plan import Plan
from models.base.protocol import Codes, FloatArray, ModelSettingsError
from models.base.ranges import Range
from models.base.rows import TrainingRows
from models.boosters import treeranges
from models.boosters.booster import BoosterModel
from models.boosters.fitwatch import FitWatch
from models.boosters.lightgbm_bins import LightGBMBins
from models.boosters.prepared import Prepared


class LightGBMModel(BoosterModel):
    """Leaf-wise trees.

    Memory: half a byte for each value of the matrix (four-bit bins) and a tile; the library's usual road holds a
    float32 copy and a sample in double precision. The bins are written to a file of that size and read back (see
    `lightgbm_pack`); with a `BinCache` the file is kept for the next fit of the same rows. `plan.low_memory`
    changes nothing: this is the leanest way there is. `plan.device` "cuda" needs a LightGBM built for it, which the
    wheel is not; without it the CPU is used. The saved bytes do not depend on `threads`, `rows_in_memory` and
    `low_memory`.
    """

    kind = "lightgbm"
    library = "lightgbm"
    file_name = "model.txt"
    length_name = "num_iterations"
    rate_name = "learning_rate"
    other_names: ClassVar[Mapping[str, str]] = {"colsample": "feature_fraction"}
    reserved = frozenset(
        {
            "num_threads",
            "seed",
            "data_random_seed",
            "device_type",
            "verbosity",
            "task",
            "data",
            "valid",
            "early_stopping_round",
            "feature_pre_filter",
            "categorical_feature",
            "input_model",
            "output_model",
        }
    )
    binning = frozenset(
        {
            "max_bin",
            "max_bin_by_feature",
            "min_data_in_bin",
            "bin_construct_sample_cnt",
            "enable_bundle",
            "is_enable_sparse",
            "use_missing",
            "zero_as_missing",
            "linear_tree",
            "forcedbins_filename",
            "pre_partition",
            "device_type",
        }
    )
    # The example settings of the tournament. Column-wise histograms are 1.3 to 2.8 times as fast at a tenth of the
    # features, and with `deterministic` they do not depend on the number of threads.
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_iterations": 2000,
        "learning_rate": 0.01,
        "max_depth": 5,
        "num_leaves": 31,
        "feature_fraction": 0.1,
        "force_col_wise": True,
        "deterministic": True,
    }

    @staticmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """See `models.base.searched.Searched`."""
        leaves = Range(
            "num_leaves", 8, 255, "31 in the example, 1,024 in the deep settings; time grows with it", integer=True
        )
        return (
            treeranges.rate("learning_rate", float(known["learning_rate"])),
            leaves,
            treeranges.depth("max_depth"),
            treeranges.columns("feature_fraction", features),
            treeranges.leaf_rows("min_data_in_leaf", rows, 20),
            treeranges.squares("lambda_l2", rows, 0.0),
        )

    def _own_name(self, name: str) -> str:
        key = _canonical_names().get(super()._own_name(name))
        if key is None:
            raise ModelSettingsError(
                f"lightgbm has no parameter {name!r}", "correct the name in the params of the lightgbm model"
            )
        return key

    def _settings(self, plan: Plan, seed: int) -> dict[str, Any]:
        settings = {
            **self.params,
            "learning_rate": self.params["learning_rate"] * plan.rate_factor,
            "num_threads": plan.threads,
            "seed": seed,
            "verbosity": -1,
            "feature_pre_filter": False,
            "device_type": plan.device,
        }
        if self.params.get("force_row_wise"):
            settings.pop("force_col_wise", None)
        return settings

    def _bins(self, rows: TrainingRows, settings: Mapping[str, Any], plan: Plan, parts: Mapping[str, Any]) -> Prepared:
        file = LightGBMBins(rows, settings, self.scratch)
        return Prepared(parts, file.make(None) if self.bins is None else self.bins.get(parts, file))

    def _train(self, prepared: Prepared, rows: TrainingRows, settings: dict[str, Any], course: FitWatch) -> Any:
        settings = dict(settings)
        trees = settings.pop("num_iterations")
        dataset = prepared.bins
        # The library refuses a dataset whose parameters differ, even in the seed; those that matter are compared above.
        dataset.params = dict(settings)
        dataset.set_label(rows.labels)

        def after_tree(env: Any) -> None:
            def tile(codes: Codes, first: int, last: int) -> npt.NDArray[np.floating[Any]]:
                return np.asarray(
                    env.model.predict(
                        codes,
                        start_iteration=first,
                        num_iteration=last - first,
                        raw_score=True,
                        num_threads=course.threads,
                    )
                )

            if course.tree(env.iteration + 1, tile):
                raise lgb.callback.EarlyStopException(env.iteration, [])

        return lgb.train(settings, dataset, trees, callbacks=[after_tree])

    def _predict_tile(self, tile: Codes, threads: int) -> npt.NDArray[np.floating[Any]]:
        return np.asarray(self._booster.predict(tile, num_threads=threads))

    def gain(self) -> FloatArray:
        """Gain of the splits on each feature."""
        return np.asarray(self._booster.feature_importance(importance_type="gain"), dtype=np.float64)

    def contributions(self, tile: Codes, threads: int) -> FloatArray:
        """SHAP values; see `models.base.protocol.Explained`."""
        return np.asarray(self._booster.predict(tile, pred_contrib=True, num_threads=threads), dtype=np.float64)

    def _to_bytes(self) -> bytes:
        text: str = self._booster.model_to_string()
        # The one line that tells how many threads there were; the trees do not depend on it.
        return re.sub(r"(?m)^\[num_threads: \d+\]$", "[num_threads: 0]", text).encode("utf-8")

    def _from_file(self, path: Path) -> Any:
        return lgb.Booster(model_str=path.read_text(encoding="utf-8"))

    @classmethod
    def library_version(cls) -> str:
        """Version of lightgbm."""
        return str(lgb.__version__)

    @classmethod
    def _library_error(cls) -> type[Exception]:
        return lgb.basic.LightGBMError  # type: ignore[no-any-return]


@cache
def _canonical_names() -> dict[str, str]:
    """Every name LightGBM knows to its main name. LightGBM itself passes over unknown names in silence."""
    names: dict[str, str] = {}
    # LightGBM's table of names has no public door in Python; pyproject.toml therefore bounds the version.
    for main, others in _ConfigAliases._get_all_param_aliases().items():
        names.update(dict.fromkeys(others, main), **{main: main})
    return names
