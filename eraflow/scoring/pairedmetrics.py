"""One metric of two sets of predictions, era by era on the eras that both have: the difference and what it shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from eraflow.scoring.ranking import FloatArray
from eraflow.scoring.sharpecomparison import sharpe_comparison
from eraflow.scoring.statistics import Comparison, paired_comparison, sharpe, without_infinities


def compared_metric(
    scores: FloatArray, plain: FloatArray, overlap: int, confidence: float, *, smaller_is_better: bool = False
) -> dict[str, Any]:
    """The mean of a metric, and its mean difference to another set's, with bounds and a verdict, as JSON values.

    Args:
        scores, plain: float64[n_eras], NaN in eras without a score.
        overlap: weeks over which labels overlap.
        confidence: one-sided, of each bound.
        smaller_is_better: for an exposure.
    """
    both = np.isfinite(scores) & np.isfinite(plain)
    if not both.any():
        return {"mean": None, "eras": 0}
    sign = -1.0 if smaller_is_better else 1.0
    found = paired_comparison(sign * scores[both], sign * plain[both], overlap, confidence)
    low, high = sorted((sign * found.interval.low, sign * found.interval.high))
    return _told(float(scores[both].mean()), int(both.sum()), found, sign * found.difference, low, high)


def compared_sharpe(scores: FloatArray, plain: FloatArray, overlap: int, confidence: float) -> dict[str, Any]:
    """The same of the Sharpe of a metric."""
    both = np.isfinite(scores) & np.isfinite(plain)
    found = sharpe_comparison(scores[both], plain[both], overlap, confidence)
    low, high = found.interval.low, found.interval.high
    return _told(sharpe(scores[both]), int(both.sum()), found, found.difference, low, high)


def _told(mean: float, eras: int, found: Comparison, difference: float, low: float, high: float) -> dict[str, Any]:
    known = without_infinities({"mean": mean, "difference": difference, "low": low, "high": high})
    return {**known, "eras": eras, "verdict": found.verdict}
