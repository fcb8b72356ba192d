"""Is the Sharpe of one model better than that of another, on the same eras with overlapping labels?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from eraflow.scoring.ranking import FloatArray
from eraflow.scoring.statistics import METHOD, Comparison, Interval, paired_comparison, sharpe


def sharpe_comparison(a: npt.ArrayLike, b: npt.ArrayLike, overlap_weeks: int, confidence: float = 0.95) -> Comparison:
    """The difference of two Sharpe ratios (mean over standard deviation of per-era scores) with its EWC interval.

    The delta method: each era's share in the ratio is its influence, (x - m) / s - (S / 2) ((x - m)^2 / s^2 - 1), and
    the differences of the shares are compared era by era. After Ledoit and Wolf, "Robust performance hypothesis
    testing with the Sharpe ratio", Journal of Empirical Finance, 2008, with EWC as the long-run variance. Of two
    models with the same Sharpe, overlapping over 5 or 13 of 100 to 600 eras, one was called better in 5 to 8 of 100
    simulated cases; a part of that simulation is in the tests.

    Args:
        a, b: float64[n] scores of the same eras, oldest first.
        overlap_weeks: weeks over which labels overlap.
        confidence: one-sided, as in `paired_comparison`.

    Raises:
        ScoreInputError: when the lengths differ or a score is not finite.
    """
    first, second = (np.asarray(scores, dtype=np.float64) for scores in (a, b))
    if not (math.isfinite(sharpe(first)) and math.isfinite(sharpe(second))):
        nothing = Interval(math.nan, -math.inf, math.inf, confidence, METHOD, first.size)
        return Comparison(math.nan, nothing, "not distinguishable")
    return paired_comparison(_shares(first), _shares(second), overlap_weeks, confidence)


def _shares(scores: FloatArray) -> FloatArray:
    """float64[n], whose mean is the Sharpe."""
    ratio, deviation = sharpe(scores), (scores - scores.mean()) / scores.std()
    return np.asarray(ratio + deviation - ratio / 2 * (deviation**2 - 1))
