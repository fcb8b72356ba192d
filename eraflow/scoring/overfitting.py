"""What choosing among configurations has cost: the probability of backtest overfitting, and the deflated Sharpe ratio.

*Probability of backtest overfitting* by combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado,
Zhu, "The Probability of Backtest Overfitting", Journal of Computational Finance, 2016; circulated in 2014): the eras
are cut into blocks, each half of the blocks chooses the configuration with the best mean score, and the other half
tells its rank. The probability is the share of halves in which the best one is no better there than the median. Where
nothing distinguishes the configurations it is about one half; where a choice holds it is near 0. Blocks are at least
twice as long as labels overlap, and the first eras of each are left out, so that no half knows the labels of the other.

*Deflated Sharpe ratio* (Bailey, Lopez de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management, 2014):
the chance that a Sharpe ratio is above what the best of as many worthless trials would show, skewness and kurtosis
counted. It is for independent observations; so the number of eras is divided by the ratio of the long-run variance to
that of an era.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy.stats import kurtosis, norm, skew

from eraflow.scoring.ranking import FloatArray
from eraflow.scoring.scoring import EraScores
from eraflow.scoring.statistics import long_run_variance, min_eras

MOST_BLOCKS, LEAST_BLOCKS = 16, 6
SAME = 0.99
"""Correlation of the scores of two configurations above which they are one: a recipe that was fitted again."""
COVERED = 0.8
"""Of the judged eras: what a configuration must have been scored on to be compared."""


@dataclass(frozen=True)
class JudgedChoice:
    """What is known of the choice.

    Attributes:
        configurations: that were told apart.
        eras: on which all of them were scored.
        overfitting: probability of backtest overfitting; None: too few eras for blocks.
        deflated: deflated Sharpe ratio of the judged one, a probability.
        first, last: labels of the eras.
    """

    configurations: int
    eras: int
    overfitting: float | None
    deflated: float
    first: str
    last: str


def judge_choices(judged: EraScores, tried: Sequence[EraScores], overlap: int) -> JudgedChoice | None:
    """What choosing `judged` among everything that was tried may have cost; None where nothing else was tried.

    Args:
        judged: CORR by era of the ensemble.
        tried: the same of other configurations, of this week and before, oldest last.
        overlap: weeks over which labels overlap.
    """
    tables = [dict(zip(*each, strict=True)) for each in tried]
    enough = [table for table in tables if sum(era in table for era in judged.eras) >= COVERED * len(judged.eras)]
    eras = [era for era in judged.eras if all(era in table for table in enough)]
    if not enough or len(eras) < min_eras(overlap):
        return None
    own = dict(zip(*judged, strict=True))
    scores = distinct(np.array([[table[era] for table in (own, *enough)] for era in eras]))
    if scores.shape[1] < 2:
        return None
    return JudgedChoice(
        scores.shape[1],
        len(eras),
        overfitting_probability(scores, overlap),
        deflated_sharpe(scores[:, 0], scores, overlap),
        eras[0],
        eras[-1],
    )


def distinct(scores: FloatArray) -> FloatArray:
    """The columns of float64[eras, k] that differ from all kept before; the first is always kept."""
    kept: list[int] = []
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.nan_to_num(np.atleast_2d(np.corrcoef(scores.T)), nan=1.0)
    for at in range(scores.shape[1]):
        if all(alike[at, other] < SAME for other in kept):
            kept.append(at)
    return scores[:, kept]


def overfitting_probability(scores: FloatArray, overlap: int) -> float | None:
    """The probability of backtest overfitting; None where the eras are too few for blocks.

    Args:
        scores: float64[eras, k], k at least 2, oldest first.
        overlap: weeks over which labels overlap.
    """
    eras = len(scores)
    count = min(MOST_BLOCKS, eras // (2 * overlap) // 2 * 2)
    if count < LEAST_BLOCKS:
        return None
    # Of each block the first eras are left out, whose labels reach from the block before.
    blocks = [block[overlap - 1 :] for block in np.array_split(scores, count)]
    sums = np.array([block.sum(axis=0) for block in blocks])
    sizes = np.array([len(block) for block in blocks])
    inside, outside = (half @ sums / (half @ sizes)[:, None] for half in halves(count))
    best = inside.argmax(axis=1)
    theirs = outside[np.arange(len(best)), best][:, None]
    rank = (outside < theirs).sum(axis=1) + 0.5 * ((outside == theirs).sum(axis=1) + 1)
    return float(np.mean(rank / (scores.shape[1] + 1) <= 0.5))


@lru_cache(maxsize=4)
def halves(count: int) -> tuple[FloatArray, FloatArray]:
    """float64[combinations, count] twice: 1 for the blocks of a half and 0 for others, and the other half of each."""
    chosen = np.array(list(combinations(range(count), count // 2)))
    one = np.zeros((len(chosen), count))
    np.put_along_axis(one, chosen, 1.0, axis=1)
    return one, 1 - one


def deflated_sharpe(judged: FloatArray, scores: FloatArray, overlap: int) -> float:
    """The chance that the Sharpe ratio of `judged` is above that of the best of so many worthless configurations.

    Args:
        judged: float64[eras].
        scores: float64[eras, k], of all that were tried, `judged` among them.
        overlap: weeks over which labels overlap.
    """
    deviations = scores.std(axis=0)
    if not judged.std() > 0:
        return 0.0
    sharpes = np.divide(scores.mean(axis=0), deviations, out=np.zeros(len(deviations)), where=deviations > 0)
    own = float(judged.mean() / judged.std())
    least = float(np.std(sharpes, ddof=1)) * expected_maximum(len(sharpes))
    observations = effective_eras(judged, overlap)
    shape = 1 - float(skew(judged)) * own + (float(kurtosis(judged, fisher=False)) - 1) / 4 * own**2
    return float(norm.cdf((own - least) * math.sqrt(max(observations - 1, 0.0)) / math.sqrt(max(shape, 1e-12))))


def expected_maximum(count: int) -> float:
    """Of so many standard normal draws, about: (1 - g) Q(1 - 1/n) + g Q(1 - 1/(n e)), where g is Euler's constant."""
    quantiles = norm.ppf([1 - 1 / count, 1 - 1 / (count * math.e)])
    return float((1 - np.euler_gamma) * quantiles[0] + np.euler_gamma * quantiles[1])


def effective_eras(scores: FloatArray, overlap: int) -> float:
    """How many independent eras would tell the mean as well as these overlapping ones; at most all of them."""
    variance, long_run = float(np.var(scores)), long_run_variance(scores, overlap).variance
    return len(scores) * min(1.0, variance / long_run) if long_run > 0 else float(len(scores))
