"""Whether a feature holds the answer: how it goes with the target within eras, and what only a copy would show.

Two kinds of figures are taken of each feature in every era whose target is known.

The *association* is that of eraflow.discovery.association: the correlation of the codes with the target as CORR takes
it. It finds whatever goes with the target far more strongly than an honest feature can.

The *match* looks where honest features say nothing. What a market pays is smooth in a feature: straight, or bent once.
So the cubic and quartic parts of the codes are uncorrelated with those of the target, up to sampling, while values that
were copied from the target into some of the rows, levels exchanged or not, carry all parts alike. Both parts of both
sides give four correlations; each, times the root of the rows, is about standard normal without a copy. On real
equities (188 features, 4 targets, 866 eras of 400 rows) the largest of 2.6 million was 5.1 and the largest mean .008;
a copy of 10 % of the rows has a mean of about .07. `python -m benchmarks leaks` repeats it.

The order of the rows and that of the ids are looked at like two more features, because a file that is sorted by its
target gives the answer away to whatever depends on the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from eraflow.discovery.association import column_blocks, corr_target
from eraflow.discovery.othertargets import OtherTargets
from eraflow.erastore.erareader import EraStore
from eraflow.scoring.ranking import FloatArray

ORDERS = ("the order of the rows", "the order of the ids")
LEVELS = 5
BLOCK_ERAS = 13
"""Eras that are also looked at together: a copy in few rows may be told in a quarter of a year, not in a week."""
LEAST_ROWS = 60
"""Rows of an era from which its figures count: below, the parts of the target are no standard normal scores."""
LEAST_SIZE = 0.01
"""Of what a degree adds on the levels: below, a level of a few rows alone would carry it."""

NO_OTHERS = OtherTargets((), {})
Codes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class EraFigures:
    """One era and target.

    Attributes:
        association: float64[f], NaN where the feature does not vary.
        match: float64[f, 4], 0 there.
    """

    association: FloatArray
    match: FloatArray


class Span:
    """The sum of the matches of some eras, float64[f, 4], and in how many of them each feature varies, int64[f]."""

    def __init__(self, width: int) -> None:
        self.total, self.varies = np.zeros((width, 4)), np.zeros(width, dtype=np.int64)
        self.eras = self.rows = 0

    def add(self, rows: int, figures: EraFigures) -> None:
        """Add an era."""
        self.total += figures.match
        self.varies += np.isfinite(figures.association)
        self.eras += 1
        self.rows += rows


class Largest:
    """The largest match of each feature among spans of eras of one length.

    Attributes:
        score: float64[f], as a standard normal score, as if overlapping labels of an era were all the same.
        share: float64[f], the match there as a correlation: about the share of rows that are copied.
        first, last: int64[f], positions of the span's eras.
    """

    def __init__(self, width: int) -> None:
        self.score, self.share = np.zeros(width), np.zeros(width)
        self.first, self.last = np.zeros(width, dtype=np.int64), np.zeros(width, dtype=np.int64)

    def take(self, span: Span, overlap: int, last: int) -> None:
        """Look at one more span, which ends with era `last`."""
        size = np.abs(span.total).max(axis=1)
        score = size / np.sqrt(np.maximum(span.varies, 1) * np.clip(span.varies, 1, overlap))
        more = score > self.score
        share = size / np.maximum(span.varies, 1) / math.sqrt(span.rows / max(span.eras, 1))
        self.score[more], self.share[more] = score[more], share[more]
        self.first[more], self.last[more] = last + 1 - span.eras, last


class Scan:
    """What was found for one target over all eras.

    Attributes:
        features: names: those of the store, then `ORDERS`.
        overlap: weeks over which labels overlap.
        eras: labels of those that count.
        rows: in them.
        association: of each era, float32[f].
        single, block: the largest match of an era, and of a block of them.
    """

    def __init__(self, features: tuple[str, ...], overlap: int) -> None:
        self.features, self.overlap = features, overlap
        self.eras: list[str] = []
        self.association: list[npt.NDArray[np.float32]] = []
        self.single, self.block = Largest(len(features)), Largest(len(features))
        self._all, self._block = Span(len(features)), Span(len(features))

    @property
    def rows(self) -> int:
        """Of all eras that count."""
        return self._all.rows

    @property
    def whole(self) -> Largest:
        """The match of all eras together."""
        found = Largest(len(self.features))
        found.take(self._all, self.overlap, len(self.eras) - 1)
        return found

    def add(self, era: str, rows: int, figures: EraFigures) -> None:
        """Count an era; eras are counted in their order."""
        here, alone = len(self.eras), Span(len(self.features))
        self.eras.append(era)
        self.association.append(figures.association.astype(np.float32))
        for span in (alone, self._block, self._all):
            span.add(rows, figures)
        self.single.take(alone, self.overlap, here)
        if self._block.eras == BLOCK_ERAS:
            self.block.take(self._block, self.overlap, here)
            self._block = Span(len(self.features))


def scan(
    store: EraStore,
    overlaps: Mapping[str, int],
    *,
    others: OtherTargets = NO_OTHERS,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scan]:
    """Look at every feature of the store in every era, once, for all targets.

    Args:
        store: the data; it stays on disk.
        overlaps: target -> weeks over which its labels overlap; a column of the store, or one of `others`.
        others: targets that the store does not hold, in some of its eras.
        threads: eras read at once; the figures do not depend on it.
        progress: told eras done and all eras.
    """
    found = {target: Scan((*store.features, *ORDERS), overlap) for target, overlap in overlaps.items()}
    eras = store.eras

    def one(era: str) -> list[tuple[str, int, EraFigures]]:
        stored = [(name, store.column(name, [era])) for name in overlaps if name in store.columns]
        return list(_era(store, era, [*stored, *others.of(era)]))

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        # A few eras at a time: finished ones would pile up behind a slow one.
        for start in range(0, len(eras), threads):
            batch = eras[start : start + threads]
            for era, told in zip(batch, pool.map(one, batch), strict=True):
                for target, rows, figures in told:
                    found[target].add(era, rows, figures)
            if progress is not None:
                progress(start + len(batch), len(eras))
    return found


def _era(store: EraStore, era: str, targets: Sequence[tuple[str, FloatArray]]) -> Iterator[tuple[str, int, EraFigures]]:
    """Target, rows and figures of one era; targets that are known in the same rows are looked at together."""
    codes = np.concatenate([store.matrix([era]), _orders(store, era)], axis=1)
    known = [(name, values, np.isfinite(values)) for name, values in targets]
    told = [each for each in known if each[2].sum() >= LEAST_ROWS and np.ptp(each[1][each[2]]) > 0]
    while told:
        rows = told[0][2]
        same = [each for each in told if np.array_equal(each[2], rows)]
        told = [each for each in told if not np.array_equal(each[2], rows)]
        figures = era_figures(codes if rows.all() else codes[rows], [values[rows] for _, values, _ in same])
        for (name, _, _), found in zip(same, figures, strict=True):
            yield name, int(rows.sum()), found


def _orders(store: EraStore, era: str) -> Codes:
    """int8[n, 2]: five equal bins of the place of each row in the file, and of its id among the ids."""
    ids = store.ids([era])
    rows = len(ids)
    bins = (np.arange(rows) * LEVELS // max(rows, 1)).astype(np.int8)
    by_id = np.empty(rows, dtype=np.int8)
    by_id[np.argsort(ids, kind="stable")] = bins
    return np.stack([bins, by_id], axis=1)


def era_figures(codes: Codes, targets: Sequence[FloatArray]) -> list[EraFigures]:
    """The figures of one era, for each of the targets.

    Args:
        codes: int8[n, f], 0 to 4.
        targets: each float64[n], finite, not constant.
    """
    rows, width = codes.shape
    columns = [part for target in targets for part in (corr_target(target), *target_parts(target))]
    answer = np.stack(columns).astype(np.float32)
    found = [EraFigures(np.full(width, np.nan), np.zeros((width, 4))) for _ in targets]
    for block in column_blocks(width, rows):
        shares, sums = _level_sums(codes[:, block], answer)
        parts, varies = np.einsum("dlf,lkf->dkf", code_parts(shares), sums), shares.max(axis=0) < 1
        for at, figures in enumerate(found):
            own = parts[:, 3 * at : 3 * at + 3]
            figures.association[block] = np.where(varies, own[0, 0], np.nan)
            figures.match[block] = own[2:, 1:].reshape(4, -1).T * math.sqrt(rows)
    return found


def _level_sums(codes: Codes, answer: npt.NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
    """float64[5, f], the share of the rows at each level, and float64[5, k, f], sums of the answer there.

    The answer is float32[k, n]; its sums are divided by all rows.
    """
    rows, width = codes.shape
    with_ones = np.concatenate([answer, np.ones((1, rows), dtype=np.float32)])
    found = np.empty((LEVELS, len(with_ones), width))
    for level in range(LEVELS - 1):
        found[level] = with_ones @ (codes == level).astype(np.float32)
    found[-1] = with_ones.sum(axis=1, dtype=np.float64)[:, None] - found[:-1].sum(axis=0)
    return found[:, -1] / rows, found[:, :-1] / rows


def code_parts(shares: FloatArray) -> FloatArray:
    """float64[4, 5, f]: orthonormal polynomials on the levels, degrees 1 to 4, each feature by its own shares.

    A feature whose bins are unequal would show its straight part in another's cubic one. Zeros where a feature has too
    few levels for a degree.

    Args:
        shares: float64[5, f], of the rows at each level.
    """
    level = np.arange(LEVELS, dtype=np.float64)[:, None] - (LEVELS - 1) / 2
    basis = [np.ones_like(shares)]
    for _ in range(1, LEVELS):
        power = level * basis[-1]
        for lower in basis:
            power = power - lower * np.sum(shares * lower * power, axis=0)
        size = np.sqrt(np.sum(shares * power**2, axis=0))
        basis.append(np.where(size > LEAST_SIZE, power / np.where(size > LEAST_SIZE, size, 1.0), 0.0))
    return np.stack(basis[1:])


def target_parts(target: FloatArray) -> FloatArray:
    """float64[2, n]: the cubic and the quartic part of one era's target, of mean 0 and variance 1.

    Each is orthogonal to all of lower degree on the rows of the era; zeros where the target has too few levels.
    """
    size = float(target.std())
    powers = np.vander((target - target.mean()) / size, 5, increasing=True)
    basis, triangle = np.linalg.qr(powers)
    there = np.abs(np.diag(triangle))[3:] > 1e-6 * math.sqrt(len(target))
    signs = np.sign(np.diag(triangle))[3:]
    return np.asarray((basis[:, 3:] * signs * there).T * math.sqrt(len(target)))
