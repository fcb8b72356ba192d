"""Targets by era: standardised within each, and some of the last eras kept back to find out when to stop."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from models.base.wholeeras import FitEras, Offsets

Targets = npt.NDArray[np.floating[Any]]

LEAST_KEPT = 4
"""Fewer eras say nothing: the standard deviation of one era's CORR is about .03, as much as a good model's mean."""
LEAST_LEARNT = 0.5
"""Of the eras, so many must be left to learn from beside those kept back and the purge; else none are kept back."""
MOST_KEPT_ROWS = 100_000
"""Of more, every second, third ... era is judged: the rows are predicted again and again."""


@dataclass(frozen=True)
class KeptBack:
    """Eras that a fit does not learn from, but stops by.

    Attributes:
        eras: [start, stop) of each in the rows of x.
        target: float[n], the target with NaN in these eras and in the purge before them: what is learnt from.
    """

    eras: tuple[tuple[int, int], ...]
    target: Targets


def known_offsets(y: Targets, offsets: Offsets) -> Offsets:
    """The offsets of the eras among the rows whose target is known; eras without any are gone."""
    return np.unique(_known_before(y, offsets))


def standardised(labels: npt.NDArray[np.float32], offsets: Offsets) -> npt.NDArray[np.float32]:
    """float32[n]: mean 0 and variance 1 in each era; 0 in an era whose targets are all equal.

    Args:
        labels: of the rows with a known target.
        offsets: of the eras among these, none of them empty.
    """
    sizes, starts = np.diff(offsets), offsets[:-1]
    exact = labels.astype(np.float64)
    exact -= np.repeat(np.add.reduceat(exact, starts) / sizes, sizes)
    scale = np.sqrt(np.add.reduceat(np.square(exact), starts) / sizes)
    flat = scale <= np.finfo(np.float32).eps * np.maximum(1.0, np.abs(labels[starts]))
    exact /= np.repeat(np.where(flat, np.inf, scale), sizes)
    return exact.astype(np.float32)


def side_by_side(own: Targets, further: Targets, offsets: Offsets) -> npt.NDArray[np.float32]:
    """float32[n, 1 + k]: all targets, each standardised within each era over the rows in which it is known.

    Args:
        own: float[n]; an era in which it is known nowhere is not learnt from.
        further: float[n, k].
        offsets: of the eras.
    """
    learnt = np.repeat(np.diff(_known_before(own, offsets)) > 0, np.diff(offsets))
    result = np.full((len(own), 1 + further.shape[1]), np.nan, dtype=np.float32)
    for place, column in enumerate((own, *further.T)):
        values = np.where(learnt, column, np.nan).astype(np.float32)
        known = ~np.isnan(values)
        if known.any():
            result[known, place] = standardised(values[known], known_offsets(values, offsets))
    return result


def keep_back(y: Targets, eras: FitEras, share: float) -> KeptBack | None:
    """The last eras of those with a known target, and what is learnt from before them and the purge.

    Args:
        y: float[n], NaN where it is not known.
        eras: of all rows.
        share: of the eras with a known target.

    Returns:
        None: the length is stated already, or the eras are too few to keep some back.
    """
    learnt = np.flatnonzero(np.diff(_known_before(y, eras.offsets)))
    count = round(share * len(learnt))
    if eras.length is not None or count < LEAST_KEPT:
        return None
    kept = learnt[-count:]
    before = learnt[eras.weeks[learnt] + eras.purge_weeks < eras.weeks[kept[0]]]
    if len(before) < LEAST_LEARNT * len(learnt):
        return None
    target = np.full_like(y, np.nan)
    for era in before.tolist():
        rows = slice(eras.offsets[era], eras.offsets[era + 1])
        target[rows] = y[rows]
    bounds = list(pairwise(eras.offsets.tolist()))
    rows_kept = sum(bounds[era][1] - bounds[era][0] for era in kept)
    every = -(-rows_kept // MOST_KEPT_ROWS)
    return KeptBack(tuple(bounds[era] for era in kept[::every]), target)


def _known_before(y: Targets, offsets: Offsets) -> Offsets:
    """How many rows with a known target lie before each offset."""
    before: Offsets = np.concatenate([[0], np.cumsum(~np.isnan(y))])[offsets]
    return before
