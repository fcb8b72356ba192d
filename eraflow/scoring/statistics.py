"""What overlapping per-era scores allow one to say: intervals that are calibrated, and a comparison of two models.

Weekly eras with labels of 20 or 60 days share most of their label with their neighbours. A plain standard error then
passes a worthless model one time in three or four. The interval used here (equal-weighted cosines, EWC) was simulated:
its one-sided 95 % bound misses 5 % of the time, and 7 to 9 % when a slow regime holds a tenth of the variance. The
simulation is repeated in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from eraflow.scoring.ranking import FloatArray, ScoreInputError

METHOD = "EWC"
TRADING_DAYS_PER_WEEK = 5
# Cosines per overlap: measured to be calibrated for moving averages over h weeks, with and without a slow regime.
ERAS_PER_COSINE = 2.6
# With fewer than two overlaps of eras even one cosine is not calibrated (12 % misses at n = h), so nothing is claimed.
MIN_OVERLAPS = 2
# Scores agree with Numerai's own to this; smaller differences (a model against itself) are rounding, not a finding.
NEGLIGIBLE = 1e-9


def overlap_weeks(horizon_days: int) -> int:
    """Weeks over which the labels of weekly eras overlap: 5 for 20 trading days, 13 for 60.

    Args:
        horizon_days: horizon of the target in trading days.
    """
    return math.ceil(horizon_days / TRADING_DAYS_PER_WEEK) + 1


def min_eras(overlap: int) -> int:
    """The fewest eras from which an interval is given at all."""
    return max(2, MIN_OVERLAPS * overlap)


@dataclass(frozen=True)
class Interval:
    """A mean with calibrated bounds.

    Attributes:
        mean: mean of the per-era scores.
        low, high: each bound alone holds with probability `confidence`; infinite when there are too few eras.
        confidence: one-sided confidence of each bound.
        method: how the bounds were made.
        eras: number of eras.
    """

    mean: float
    low: float
    high: float
    confidence: float
    method: str
    eras: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; a bound that is not known is None."""
        return without_infinities(asdict(self))


@dataclass(frozen=True)
class Comparison:
    """Two models on the same eras: the mean difference, its interval and what may be said about it."""

    difference: float
    interval: Interval
    verdict: Literal["better", "worse", "not distinguishable"]

    def as_dict(self) -> dict[str, Any]:
        """The interval, difference and verdict as plain JSON values; what is not known is None."""
        return {
            **self.interval.as_dict(),
            **without_infinities({"difference": self.difference}),
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class LongRunVariance:
    """EWC estimate: variance of sqrt(n) times the mean, and its degrees of freedom (the number of cosines)."""

    variance: float
    degrees: int
    eras: int


@dataclass(frozen=True)
class MetricSummary:
    """One metric over its eras. `low` and `high` are EWC bounds, each of one-sided `confidence`."""

    name: str
    eras: int
    first_era: str
    last_era: str
    mean: float
    std: float
    sharpe: float
    adjusted_sharpe: float
    max_drawdown: float
    low: float
    high: float
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; a figure that is not defined (NaN, infinite) is None."""
        return without_infinities(asdict(self))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MetricSummary:
        """The inverse of `as_dict`."""
        unknown = {"low": -math.inf, "high": math.inf}
        known: dict[str, Any] = {key: unknown.get(key, math.nan) if x is None else x for key, x in values.items()}
        return cls(**known)


def without_infinities(values: dict[str, Any]) -> dict[str, Any]:
    """`values` with NaN and infinities as None, which JSON can hold."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }


def long_run_variance(scores: npt.ArrayLike, overlap: int) -> LongRunVariance:
    """Equal-weighted cosine estimate of the long-run variance.

    The n scores are projected on sqrt(2) cos(pi j (t - 1/2) / n) / sqrt(n), j = 1..q, with q = n / (2.6 h), at least 1;
    the mean of the squared projections is the variance. Source: Lazarus, Lewis, Stock, Watson, "HAR Inference:
    Recommendations for Practice", Journal of Business and Economic Statistics, 2018.

    Args:
        scores: float64[n], evenly spaced in time and oldest first.
        overlap: h, weeks over which labels overlap.

    Raises:
        ScoreInputError: when a score is NaN or infinite, or `overlap` is below 1.
    """
    values = _checked(scores, overlap)
    n = len(values)
    q = cosine_count(n, overlap)
    return LongRunVariance(float(cosine_variance(values, q)) if n else math.nan, q, n)


def cosine_count(n: int, overlap: int) -> int:
    """Number of cosines for n scores, which is the degrees of freedom."""
    return max(1, int(n / (ERAS_PER_COSINE * overlap)))


def cosine_variance(series: FloatArray, count: int) -> FloatArray:
    """The variance of `long_run_variance`, of one series or of every column.

    Args:
        series: float64[n] or [n, f], finite, oldest first, n at least 1.
        count: number of cosines.

    Returns:
        float64[] or [f].
    """
    variance = np.mean((_cosines(len(series), count) @ series) ** 2, axis=0)
    # Constant scores leave the rounding of the cosines behind; they have no variance.
    return np.asarray(np.where(np.ptp(series, axis=0) == 0, 0.0, variance))


def cosine_projections(series: FloatArray, count: int) -> FloatArray:
    """float64[count]: what `cosine_variance` squares, of one series float64[n]; zeros where it does not vary."""
    found = _cosines(len(series), count) @ series
    return np.asarray(np.where(np.ptp(series) == 0, 0.0, found))


def ewc_interval(scores: npt.ArrayLike, overlap_weeks: int, confidence: float = 0.95) -> Interval:
    """Mean of per-era scores with bounds mean -+ t(confidence, q) sqrt(v / n). See `long_run_variance`.

    Args:
        scores: float64[n] per-era scores, oldest first.
        overlap_weeks: weeks over which labels overlap, see `overlap_weeks`.
        confidence: one-sided confidence of each bound.

    Returns:
        An interval; with fewer than `min_eras(overlap_weeks)` eras its bounds are infinite, because no method is
        calibrated there.

    Raises:
        ScoreInputError: when a score is NaN or infinite.
    """
    estimate = long_run_variance(scores, overlap_weeks)
    n = estimate.eras
    mean = float(np.mean(np.asarray(scores, dtype=np.float64))) if n else math.nan
    if n < min_eras(overlap_weeks):
        return Interval(mean, -math.inf, math.inf, confidence, METHOD, n)
    width = float(stdtrit(estimate.degrees, confidence)) * math.sqrt(estimate.variance / n)
    return Interval(mean, mean - width, mean + width, confidence, METHOD, n)


def paired_comparison(a: npt.ArrayLike, b: npt.ArrayLike, overlap_weeks: int, confidence: float = 0.95) -> Comparison:
    """Is model a better than model b on the same eras? From the EWC interval of the per-era differences.

    Args:
        a, b: float64[n] scores of the same eras, oldest first.
        overlap_weeks: weeks over which labels overlap.
        confidence: one-sided: equal models are called "better" with probability 1 - confidence, "worse" as often.

    Raises:
        ScoreInputError: when the lengths differ or a score is not finite.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ScoreInputError(f"{first.size} scores against {second.size}", "compare both models on the same eras")
    interval = ewc_interval(first - second, overlap_weeks, confidence)
    if interval.low > NEGLIGIBLE:
        return Comparison(interval.mean, interval, "better")
    return Comparison(interval.mean, interval, "worse" if interval.high < -NEGLIGIBLE else "not distinguishable")


def difference_of_windows(
    past: npt.ArrayLike, recent: npt.ArrayLike, overlap_weeks: int, confidence: float
) -> Interval:
    """Mean of a recent window less the mean of the past, with bounds; the two must lie an overlap apart.

    Both windows are taken to share one long-run variance, estimated from both (weights: their cosines). A window of a
    year holds one cosine of a 60-day target: with a variance of its own the test could hardly ever speak.

    Returns:
        An interval over the recent eras; infinite bounds when either window has fewer than `min_eras`.
    """
    old, new = long_run_variance(past, overlap_weeks), long_run_variance(recent, overlap_weeks)
    mean = float(np.mean(np.asarray(recent)) - np.mean(np.asarray(past))) if old.eras and new.eras else math.nan
    if min(old.eras, new.eras) < min_eras(overlap_weeks):
        return Interval(mean, -math.inf, math.inf, confidence, METHOD, new.eras)
    degrees = old.degrees + new.degrees
    variance = (old.degrees * old.variance + new.degrees * new.variance) / degrees
    width = float(stdtrit(degrees, confidence)) * math.sqrt(variance * (1 / old.eras + 1 / new.eras))
    return Interval(mean, mean - width, mean + width, confidence, METHOD, new.eras)


def sharpe(scores: npt.ArrayLike) -> float:
    """Mean over standard deviation (ddof 0) of per-era scores, not annualised; NaN when they do not vary."""
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0 or values.min() == values.max():
        return math.nan
    return float(np.mean(values) / np.std(values))


def adjusted_sharpe(scores: npt.ArrayLike) -> float:
    """Sharpe divided by the autocorrelation penalty sqrt(1 + 2 sum over i < n of (1 - i/n) |r|^i), r the lag-1
    autocorrelation.

    This is the AR(1) form known in the tournament as "smart Sharpe" (Numerai forum, April 2020, after KeyQuant's white
    paper on the autocorrelation penalty). The absolute value, as in several versions of it, keeps a negative
    autocorrelation from raising the figure. NaN with fewer than 3 scores or when they do not vary.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.size < 3 or values[1:].min() == values[1:].max() or values[:-1].min() == values[:-1].max():
        return math.nan
    r = abs(float(np.corrcoef(values[:-1], values[1:])[0, 1]))
    lags = np.arange(1, values.size)
    return sharpe(values) / math.sqrt(1 + 2 * float(np.sum((1 - lags / values.size) * r**lags)))


def max_drawdown(scores: npt.ArrayLike) -> float:
    """Largest fall of the cumulative sum of per-era scores below its own earlier height, the starting zero included.

    Returns:
        A number >= 0 in units of the score; 0 for no scores.
    """
    curve = np.concatenate([[0.0], np.cumsum(np.asarray(scores, dtype=np.float64))])
    return float(np.max(np.maximum.accumulate(curve) - curve))


def summarise(
    name: str, eras: Sequence[str], values: npt.ArrayLike, overlap_weeks: int, confidence: float = 0.95
) -> MetricSummary:
    """Everything that is said about one metric.

    Args:
        name: name of the metric.
        eras: labels of the eras, oldest first.
        values: float64[len(eras)], finite.
        overlap_weeks: weeks over which labels overlap.
        confidence: one-sided confidence of each bound.

    Raises:
        ScoreInputError: when there is no era, the lengths differ or a score is not finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    if len(eras) == 0 or scores.shape != (len(eras),):
        raise ScoreInputError(f"{name}: {scores.size} scores for {len(eras)} eras", "give one score for each era")
    interval = ewc_interval(scores, overlap_weeks, confidence)
    return MetricSummary(
        name=name,
        eras=len(eras),
        first_era=eras[0],
        last_era=eras[-1],
        mean=interval.mean,
        std=float(np.std(scores)),
        sharpe=sharpe(scores),
        adjusted_sharpe=adjusted_sharpe(scores),
        max_drawdown=max_drawdown(scores),
        low=interval.low,
        high=interval.high,
        confidence=confidence,
    )


def _checked(scores: npt.ArrayLike, overlap: int) -> FloatArray:
    values = np.asarray(scores, dtype=np.float64)
    if overlap < 1:
        raise ScoreInputError(f"an overlap of {overlap} weeks", "use overlap_weeks(horizon_days)")
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ScoreInputError("per-era scores are not a list of finite numbers", "leave out the eras without a score")
    return values


@lru_cache(maxsize=64)
def _cosines(n: int, q: int) -> FloatArray:
    """float64[q, n]: the first q cosines, each of length one and orthogonal to a constant."""
    j, t = np.arange(1, q + 1)[:, None], np.arange(1, n + 1)
    return np.asarray(np.sqrt(2 / max(n, 1)) * np.cos(np.pi * j * (t - 0.5) / max(n, 1)))
