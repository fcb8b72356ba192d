"""The bound by which a mean score is certified: calibrated under slow regimes, sharper by what a benchmark remembers.

Two things are added to the EWC interval of `eraflow.scoring.statistics`.

*Slow regimes.* With 20-day labels the cosines reach up to a cycle in 26 weeks, and a regime that lasts for a year moves
the mean more than they tell. So, from eleven cosines on, the variance is the larger one of theirs and of that of the
first four, and Student's t has four degrees of freedom, ten where labels overlap as long as those of 60 days: figures
that a simulation chose, with regimes and without. Fewer cosines are slow enough by themselves.

*The benchmark's history* (control variate; Lavenberg, Welch, Management Science 1981). Scores of one era share their
luck. Where a benchmark is scored in the judged eras and in many before, its mean there tells whether the judged eras
were good or bad ones, and b times the difference is taken off, b being the regression of the scores on the benchmark's.
With a correlation r of the two and a share s of all eras judged, the variance falls by about r^2 (1 - s). It assumes
that the benchmark's own mean has not changed; where it has, significantly, the history is not used. A model that has
nothing to do with the benchmark has a b near zero: it gains and loses nothing.

`python -m benchmarks gateerrors` prints the rates with and without both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from eraflow.scoring.ranking import FloatArray, ScoreInputError
from eraflow.scoring.statistics import (
    METHOD,
    Interval,
    cosine_count,
    cosine_projections,
    difference_of_windows,
    ewc_interval,
    min_eras,
)

SLOW_COSINES = 4
LONG_OVERLAP = 13
"""Weeks; the cosines of such an overlap see slow regimes rather well by themselves."""
MOST_DEGREES, MOST_DEGREES_LONG = 4, 10
ENOUGH_COSINES = 10
"""Up to so many are slow enough by themselves."""
LEAST_HISTORY = 52
"""Eras before the judged ones from which a history is used."""
CHANGED = 0.99
"""One-sided confidence at which the benchmark's mean is taken to have changed."""
LEAST_SHARE = 0.5
"""Of the variance of what the benchmark does not explain: the least that is taken, as covariances are rough."""


@dataclass(frozen=True)
class Certificate:
    """A mean with its bounds, and what of the benchmark's history went into it.

    Attributes:
        interval: mean and bounds; the mean is that of the judged eras as it is, not the corrected one.
        history: eras of the benchmark before the judged ones that were used; 0: none.
        correction: what was added to the mean for the bounds.
        correlation: of the scores with the benchmark's in the judged eras.
    """

    interval: Interval
    history: int = 0
    correction: float = 0.0
    correlation: float = 0.0


def certificate(
    scores: npt.ArrayLike,
    overlap: int,
    confidence: float,
    *,
    benchmark: npt.ArrayLike = (),
    history: npt.ArrayLike = (),
) -> Certificate:
    """The bounds of a mean score.

    Args:
        scores: float64[n], of the judged eras, oldest first.
        overlap: weeks over which labels overlap.
        confidence: one-sided, of each bound.
        benchmark: float64[n], the benchmark's scores in the same eras; empty: it is not used.
        history: float64[m], the benchmark's scores in the eras before them.

    Raises:
        ScoreInputError: a score is not finite, or the lengths differ.
    """
    own, other, before = (np.asarray(each, dtype=np.float64) for each in (scores, benchmark, history))
    if other.size and other.shape != own.shape:
        raise ScoreInputError(f"{own.size} scores against {other.size}", "compare both on the same eras")
    plain = ewc_interval(own, overlap, confidence)
    if plain.eras < min_eras(overlap):
        return Certificate(plain)
    if other.size == 0 or not _history_counts(other, before, overlap) or np.ptp(other) == 0:
        variance = slow_variance(cosine_projections(own, _most(own.size, overlap)), own.size, overlap)
        return Certificate(_around(plain, plain.mean, variance / own.size, overlap))
    return _corrected(plain, own, other, np.concatenate([before, other]), overlap)


def slow_variance(projections: FloatArray, eras: int, overlap: int) -> float:
    """The long-run variance from squared projections on cosines: the larger one of the two bands, see above.

    Args:
        projections: float64[q]; at least as many as `_most`.
        eras, overlap: of the series.
    """
    squares = np.asarray(projections**2)
    return float(max(np.mean(squares[:count]) for count in _bands(eras, overlap)))


def _bands(eras: int, overlap: int) -> tuple[int, ...]:
    count = cosine_count(eras, overlap)
    return (count,) if count <= ENOUGH_COSINES else (count, SLOW_COSINES)


def _most(eras: int, overlap: int) -> int:
    return max(_bands(eras, overlap))


def degrees(eras: int, overlap: int) -> int:
    """Degrees of freedom of Student's t."""
    count = cosine_count(eras, overlap)
    if count <= ENOUGH_COSINES:
        return count
    return MOST_DEGREES if overlap < LONG_OVERLAP else MOST_DEGREES_LONG


def _around(plain: Interval, middle: float, variance_of_mean: float, overlap: int) -> Interval:
    width = float(stdtrit(degrees(plain.eras, overlap), plain.confidence)) * math.sqrt(max(variance_of_mean, 0.0))
    return Interval(plain.mean, middle - width, middle + width, plain.confidence, METHOD, plain.eras)


def _history_counts(benchmark: FloatArray, before: FloatArray, overlap: int) -> bool:
    """Whether there is enough of it, and nothing says that the benchmark's mean has changed."""
    if before.size < max(LEAST_HISTORY, min_eras(overlap) + overlap):
        return False
    change = difference_of_windows(before[: before.size - overlap], benchmark, overlap, CHANGED)
    return change.low <= 0 <= change.high


def _corrected(plain: Interval, own: FloatArray, other: FloatArray, every: FloatArray, overlap: int) -> Certificate:
    """The mean less what the benchmark says was luck; its variance from what is left, the history and both."""
    centred, moved = other - other.mean(), own - own.mean()
    slope = max(float(centred @ moved) / float(centred @ centred), 0.0)
    left, n, total = own - slope * other, own.size, every.size
    middle = float(left.mean() + slope * every.mean())
    of_left, of_other = (cosine_projections(each, _most(n, overlap)) for each in (left, other))
    of_every = cosine_projections(every, _most(total, overlap))
    found = []
    for place, here in enumerate(_bands(n, overlap)):
        there = _bands(total, overlap)[place]  # a longer series has no fewer bands
        alone = float(np.mean(of_left[:here] ** 2)) / n
        shared = 2 * slope * float(np.mean(of_left[:here] * of_other[:here])) / total
        remembered = slope**2 * float(np.mean(of_every[:there] ** 2)) / total
        found.append(max(alone + remembered + shared, LEAST_SHARE * alone))
    size = math.sqrt(float(moved @ moved) * float(centred @ centred))
    return Certificate(
        _around(plain, middle, max(found), overlap),
        total - n,
        middle - plain.mean,
        float(centred @ moved) / size if size else 0.0,
    )
