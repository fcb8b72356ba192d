"""Which features behave in the live era unlike ever before: how often each code occurs, and how they move with others.

A feature that breaks may be constant, shifted or turned round. The first two show in how often each of its codes
occurs; one that is turned round shows only in its correlations with other features. Both are looked at in each era.

With thousands of features some are always unusual. What is compared is therefore the most unusual figure of a whole
era: the live era's figures against the largest of each past era (the maximum statistic of Westfall and Young,
"Resampling-Based Multiple Testing", 1993, with past eras as the resamples). If live is like the past, any feature at
all is named in at most a share of `error_rate` of the weeks, whatever the dependence among features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import svds

from eraflow.errors import EraflowError
from eraflow.scoring.ranking import FloatArray

CODES = 5
COMPONENTS = 16
"""Directions of common movement with which every feature's correlation is measured."""
LEAST_DEVIATION = 3.0
"""Usual deviations that a figure reaches now and then, even if it has not yet."""
MAD_TO_STD = 1.4826
"""The standard deviation of a normal variable over its median absolute deviation."""

Codes = npt.NDArray[np.int8]
Figures = npt.NDArray[np.float32]
Values = npt.NDArray[Any]


class TooFewPastErasError(EraflowError):
    """There are too few past eras for the error rate that is asked for."""

    code = "too_few_past_eras"


@dataclass(frozen=True)
class UnlikeBefore:
    """A feature that behaves unlike in any past era but a share of `p_value`.

    Attributes:
        feature: its name.
        figure: which of its figures is the most unusual: `share of code 2`, or `correlation with direction 3`.
        usual, now: the median of the past, and the live era's.
        score: their difference in usual deviations.
        p_value: share of eras, live among them, in which some figure of some feature is as unusual: adjusted for all.
    """

    feature: str
    figure: str
    usual: float
    now: float
    score: float
    p_value: float


def directions(codes: Codes, count: int = COMPONENTS, seed: int = 0) -> Figures:
    """The directions in which features move together most: leading right singular vectors of standardised codes.

    Args:
        codes: int8[n, f] of past eras.
        count: how many; fewer where there are fewer features.
        seed: of the vector that the iteration begins with.

    Returns:
        float32[f, count].
    """
    standard = standardised(codes.astype(np.float32))
    count = min(count, min(standard.shape) - 1)
    if count < 1:
        return np.zeros((codes.shape[1], 0), dtype=np.float32)
    begin = np.random.default_rng(seed).standard_normal(min(standard.shape))
    _, sizes, vectors = svds(standard, k=count, v0=begin)
    return np.ascontiguousarray(vectors[np.argsort(-sizes)].T, dtype=np.float32)


def behaviour(codes: Codes, along: Figures) -> Figures:
    """How each feature behaves in one era.

    Args:
        codes: int8[n, f], 0 to 4.
        along: float32[f, p], see `directions`.

    Returns:
        float32[f, 6 + p]: the share of each code, the length of what follows (near zero for one that has nothing to do
        with the others any more), then the correlation with the era's projection on each direction, 0 where one of the
        two does not vary.
    """
    shares = np.stack([np.mean(codes == code, axis=0, dtype=np.float64) for code in range(CODES)], axis=1)
    standard = standardised(codes.astype(np.float32))
    common = standard @ along
    sizes = np.sqrt(np.mean(common**2, axis=0))
    common = np.divide(common, sizes, out=np.zeros_like(common), where=sizes > 0)
    moves = standard.T @ common / np.float32(len(codes))
    together = np.sqrt(np.sum(moves**2, axis=1, keepdims=True))
    return np.concatenate([shares.astype(np.float32), together, moves], axis=1)


def deviations(past: Figures, live: Figures, rows: int) -> FloatArray:
    """How far each figure lies from its median over past eras and live, in usual deviations.

    Live takes part in medians and deviations as any other era does, so that none is measured by another rule than the
    others. A deviation is taken to be at least what chance alone does in an era of so many rows: shares that are the
    same in every era by construction would otherwise make a stir over a single row.

    Args:
        past: float32[eras, f, k], see `behaviour`.
        live: float32[f, k].
        rows: of the live era.

    Returns:
        float64[eras + 1, f, k], the last one live's.
    """
    together = np.concatenate([past, live[None]]).astype(np.float64)
    middle = np.median(together, axis=0)
    away = np.abs(together - middle)
    share = np.clip(middle[:, :CODES], 1 / rows, 1 - 1 / rows)
    chance = np.full(middle.shape, 1 / np.sqrt(rows))
    chance[:, :CODES] = np.sqrt(share * (1 - share) / rows)
    return np.asarray(away / np.maximum(MAD_TO_STD * np.median(away, axis=0), chance))


def beyond_all_others(scores: FloatArray) -> FloatArray:
    """How many times each figure's deviation in an era is the largest one that it has in any other era.

    Some features jump now and then, others never: each is measured by its own past.

    Args:
        scores: float64[eras, f, k], see `deviations`.

    Returns:
        The same shape. The largest of the others counts as `LEAST_DEVIATION` at least.
    """
    second, first = np.partition(scores, -2, axis=0)[-2:]
    others = np.where(scores == first, second, first)
    return np.asarray(scores / np.maximum(others, LEAST_DEVIATION))


def unlike_before(
    past: Figures, live: Figures, rows: int, features: Sequence[str], error_rate: float
) -> list[UnlikeBefore]:
    """The features of the live era that are named, the most unusual first.

    Args:
        past, live, rows: as for `deviations`.
        features: names, f of them.
        error_rate: share of ordinary weeks in which any is named.

    Raises:
        TooFewPastErasError: so few past eras can prove nothing at this rate.
    """
    least = int(np.ceil(1 / error_rate)) - 1
    if len(past) < least:
        raise TooFewPastErasError(
            f"{len(past)} past eras, {least} are needed to name features in {error_rate:.1%} of ordinary weeks at most",
            "wait until there are more, or let the run use more eras",
        )
    scores = beyond_all_others(deviations(past, live, rows))
    worst, figure = scores[-1].max(axis=1), scores[-1].argmax(axis=1)
    largest = np.sort(scores[:-1].max(axis=(1, 2)))
    as_large = len(largest) - np.searchsorted(largest, worst, side="left")
    p_values = (1 + as_large) / (len(past) + 1)
    middle = np.median(np.concatenate([past, live[None]]), axis=0)
    named = [place for place in np.argsort(-worst, kind="stable") if p_values[place] <= error_rate]
    return [
        UnlikeBefore(
            features[place],
            figure_name(int(figure[place])),
            round(float(middle[place, figure[place]]), 4),
            round(float(live[place, figure[place]]), 4),
            round(float(worst[place]), 1),
            float(p_values[place]),
        )
        for place in named
    ]


def figure_name(position: int) -> str:
    """What a figure of `behaviour` is called."""
    if position < CODES:
        return f"share of code {position}"
    return f"correlation with direction {position - CODES}" if position > CODES else "correlation with all directions"


def standardised(values: Values) -> Values:
    """Columns with mean 0 and variance 1; 0 for one that does not vary.

    Args:
        values: float[n, f] with n at least 1; the result has its dtype.
    """
    away = values - values.mean(axis=0)
    sizes = np.sqrt(np.mean(away**2, axis=0))
    return np.asarray(np.divide(away, sizes, out=np.zeros_like(away), where=sizes > 0))
