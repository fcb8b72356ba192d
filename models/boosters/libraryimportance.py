"""What the three boosting libraries say of their own models: gain, and SHAP values of single predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from models.base.protocol import Codes, FloatArray

MOST_STEPS = 1_000_000_000
"""Of TreeSHAP in a fold (a step took 1 to 8 nanoseconds with the three libraries): larger models get fewer rows."""
UNBOUNDED_DEPTH = 12


def library_model(model: Any) -> Any:
    """The library's own object inside a fitted booster."""
    return model._booster


def _lightgbm_gain(booster: Any, width: int) -> FloatArray:
    return np.asarray(booster.feature_importance(importance_type="gain"), dtype=np.float64)


def _xgboost_gain(booster: Any, width: int) -> FloatArray:
    gain = np.zeros(width)
    for name, value in booster.get_score(importance_type="total_gain").items():
        gain[int(name.removeprefix("f"))] = value
    return gain


def _catboost_gain(learner: Any, width: int) -> FloatArray:
    return np.asarray(learner.get_feature_importance(type="PredictionValuesChange"), dtype=np.float64)


def _lightgbm_contributions(booster: Any, tile: Codes, threads: int) -> FloatArray:
    return np.asarray(booster.predict(tile, pred_contrib=True, num_threads=threads), dtype=np.float64)


def _xgboost_contributions(booster: Any, tile: Codes, threads: int) -> FloatArray:
    import xgboost

    booster.set_param({"nthread": threads, "device": "cpu"})
    return np.asarray(booster.predict(xgboost.DMatrix(tile, nthread=threads), pred_contribs=True), dtype=np.float64)


def _catboost_contributions(learner: Any, tile: Codes, threads: int) -> FloatArray:
    import catboost

    found = learner.get_feature_importance(catboost.Pool(tile), type="ShapValues", thread_count=threads)
    return np.asarray(found, dtype=np.float64)


GAINS: dict[str, Callable[[Any, int], FloatArray]] = {
    "lightgbm": _lightgbm_gain,
    "xgboost": _xgboost_gain,
    "catboost": _catboost_gain,
}
CONTRIBUTIONS: dict[str, Callable[[Any, Codes, int], FloatArray]] = {
    "lightgbm": _lightgbm_contributions,
    "xgboost": _xgboost_contributions,
    "catboost": _catboost_contributions,
}


def shap_rows(model: Any, blocks: int) -> int:
    """Rows of each block that the steps of TreeSHAP allow: trees x leaves x depth squared for a row."""
    if model.kind not in GAINS:
        return 0
    params = model.params
    depth = int(params.get("max_depth") or params.get("depth") or 6)
    depth = depth if depth > 0 else UNBOUNDED_DEPTH
    leaves = int(params.get("num_leaves") or params.get("max_leaves") or 2**depth)
    return int(MOST_STEPS // max(1, model.trees * leaves * depth**2 * blocks))
