"""A look inside CatBoost while it trains: the raw predictions of a held-out pool, as a metric is shown them.

The library has no partial model; what it computes anyway, for the metric of an evaluation set, are the predictions of
the trees so far. The trees are the same as without the set (tested to the last bit).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from models.base.protocol import Codes, FloatArray, ModelSettingsError
from models.boosters.fitwatch import FitWatch, Looks


def holdout_of(looks: Looks) -> Codes | None:
    """The rows that a watch wants to see; None when nobody watches.

    Raises:
        ModelSettingsError: the watch names none.
    """
    if looks.watch is None:
        return None
    holdout: Codes | None = getattr(looks.watch, "holdout", None)
    if holdout is None:
        raise ModelSettingsError(
            "catboost shows a watch only rows that are named before the fit", "give the watch an attribute holdout"
        )
    return holdout


class LastPredictions:
    """A metric that scores nothing: it keeps the raw predictions it is shown.

    CatBoost shows it those of the training rows and then those of the evaluation set, after each tree, before the
    callbacks.
    """

    def __init__(self) -> None:
        self.raw: FloatArray = np.zeros(0)

    def __deepcopy__(self, memo: Any) -> LastPredictions:
        return self  # the library copies its parameters; the callback must see what the metric saw

    def is_max_optimal(self) -> bool:
        """Asked for by the library."""
        return True

    def get_final_error(self, error: float, weight: float) -> float:
        """Asked for by the library."""
        return error

    def evaluate(self, approxes: Any, target: npt.NDArray[Any], weight: Any) -> tuple[float, float]:
        """Keep the predictions."""
        self.raw = np.array(approxes[0], dtype=np.float64)
        return 0.0, 1.0


class HoldoutModel:
    """A `PartialModel` of the held-out rows; it remembers the sums of the looks before."""

    def __init__(self, holdout: Codes, last: LastPredictions) -> None:
        self._holdout, self._last = holdout, last
        self._sums: dict[int, FloatArray] = {0: np.zeros(len(holdout))}

    def look(self, trees: int) -> None:
        """There are so many trees now. Sums before the last two looks are forgotten."""
        for old in sorted(self._sums)[1:-1]:
            del self._sums[old]
        self._sums[trees] = self._last.raw

    def predict(self, x: Codes, first_tree: int, last_tree: int) -> FloatArray:
        """float64[n]; of the held-out rows only, between this look, the one before and none.

        Raises:
            ModelSettingsError: other rows or trees are asked for.
        """
        if x is not self._holdout or not {first_tree, last_tree} <= self._sums.keys():
            raise ModelSettingsError(
                f"catboost knows no sums of the trees {first_tree} to {last_tree} of these rows",
                f"ask for the watch's own holdout and trees among {sorted(self._sums)}",
            )
        return self._sums[last_tree] - self._sums[first_tree]


class AfterTree:
    """The callback: counts, and lets the watch look."""

    def __init__(self, course: FitWatch, model: HoldoutModel | None) -> None:
        self._course, self._model = course, model

    def after_iteration(self, info: Any) -> bool:
        """After each tree; True lets the training go on."""
        self._course.meter(info.iteration)
        if self._model is None or not self._course.looks.due(info.iteration):
            return True
        self._model.look(info.iteration)
        return not self._course.looks(info.iteration, self._model)


def without_numba(fit: Callable[[], None]) -> None:
    """Run a fit whose metric is Python; CatBoost warns that it could have compiled it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Failed to import numba")
        fit()


def unwatched(params: str) -> str:
    """The parameters in a model's metadata as they would be had nobody watched; other text as it is."""
    described = json.loads(params)
    flat = described.get("flat_params", {})
    if "eval_metric" not in flat:
        return params
    del flat["eval_metric"], flat["use_best_model"]
    described["metrics"]["eval_metric"] = described["metrics"]["objective_metric"]
    return json.dumps(described, separators=(",", ":"), ensure_ascii=False)
