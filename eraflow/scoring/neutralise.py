"""Neutralisation: what is left of predictions after a least-squares fit on an era's features and a constant.

The same as `numerai_tools.scoring.neutralize`, which decomposes the matrix of features into singular values, at a
fraction of its time: the features enter as their Gram matrix, made in float32 (exact for levels, being sums of small
integers), factored by Cholesky in float64, and the fit is refined once. Features that depend on each other (a
constant, a copy, a sum of others) are found while factoring with pivots and left out, which changes no fit. Where even
that is not safe, numpy's `lstsq` is called as the reference calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import linalg
from threadpoolctl import ThreadpoolController

from eraflow.scoring.ranking import EraGroups, FloatArray, ScoreInputError


@dataclass(frozen=True)
class Neutralisation:
    """What is taken out of a blend: a proportion (0: nothing) of what these features explain, in the store's order."""

    proportion: float
    features: tuple[str, ...]


Features = npt.NDArray[Any]
FeaturesOf = Callable[[int], Features]
Progress = Callable[[int, int], None]
Method = Literal["none", "cholesky", "pivoted", "lstsq"]

# numerai_tools.scoring.neutralize: singular values below this fraction of the largest count as zero.
RCOND = 1e-6
# Squared singular values must lie this many times above that line for the normal equations to be trusted: the smallest
# is estimated, and from above.
SAFETY = 100.0
# Products with the inverse that estimate its largest eigenvalue.
POWER_STEPS = 3
# Pivots below this, for each column and of the largest, are rounding: the column is a combination of those before it.
ROUNDING = 1e-14
# The refinement must change nothing by more than this many standard deviations, else the first fit was no good.
SETTLED = 1e-7
# A residual this small against what was neutralised is rounding: the features explain the predictions completely.
NOTHING_LEFT = 1e-9
# float32 holds every integer up to here, so a Gram matrix of integer levels within it is exact.
EXACT_FLOAT32 = 2**24
# Levels 0 to 4 become -2 to 2, which keeps their squares small.
MIDDLE_LEVEL = 2
# Rows that are turned into floating point at once: for the Gram matrix, and (values, not rows) for products with a few
# columns, which are several times faster while a block stays in the processor's cache.
GRAM_ROWS = 512
PRODUCT_VALUES = 200_000


def one_blas_thread() -> AbstractContextManager[Any]:
    """Limit BLAS to one thread: an era is too small for more, and threads that wait for each other on a busy machine
    were measured to cost ten times over.
    """
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> ThreadpoolController:
    """Those of numpy and scipy, which are loaded by now; looking for them takes a millisecond."""
    return ThreadpoolController()


def neutralise(values: npt.ArrayLike, features: Features, proportion: float = 1.0) -> FloatArray:
    """Take out of `values` a proportion of what the features explain of them (`numerai_tools.scoring.neutralize`).

    Args:
        values: float[n] or [n, k] of one era, without NaN.
        features: int8[n, f] (floating point works too, more slowly), without NaN: the era store codes missing as 2.
        proportion: 0 to 1.

    Returns:
        float64, the shape of `values`; NaN in a column that is constant, as the reference means it (it overlooks those
        whose standard deviation is rounding instead of zero). Agrees with the reference
        to better than 1e-6 of a column's standard deviation.

    Raises:
        ScoreInputError: NaN, lengths that differ, a proportion outside 0 to 1.
    """
    table = np.asarray(values, dtype=np.float64)
    columns = table[:, None] if table.ndim == 1 else table
    _check(columns, features, proportion)
    result = np.full(columns.shape, np.nan)
    varying = ~_constant(columns)
    if len(columns) and varying.any():
        kept = np.ascontiguousarray(columns[:, varying])
        if proportion > 0:
            with one_blas_thread():
                kept = mixed(kept, Neutraliser(features).residual(kept), proportion)
        result[:, varying] = kept
    return result.reshape(table.shape)


def neutralise_by_era(
    values: FloatArray,
    features_of: FeaturesOf,
    groups: EraGroups,
    proportion: float,
    progress: Progress | None = None,
) -> FloatArray:
    """`neutralise` for each of many eras, whose features are asked for one era at a time.

    Args:
        values: float64[n] without NaN.
        features_of: int8[rows of the era, f] by the position of the era.
        groups: the eras of the rows.
        proportion: 0 to 1.
        progress: told (eras done, eras).

    Returns:
        float64[n]. An era whose values are all equal keeps them: it owes nothing to any feature. Where the features
        explain an era completely (no more rows than features) nothing is left at proportion 1: its rows become 0.
    """
    if proportion == 0:
        return values
    residual = residual_by_era(values, features_of, groups, progress)
    return mixed(values, residual, proportion)


def residual_by_era(
    values: FloatArray, features_of: FeaturesOf, groups: EraGroups, progress: Progress | None = None
) -> FloatArray:
    """float64[n]: what `mixed` needs for any proportion, from one factorisation an era; see `neutralise_by_era`.

    Values of an era that are all equal are left as they are; 0 where the features explain an era completely.
    """
    residual = values.copy()
    with one_blas_thread():
        for era in range(groups.n_eras):
            rows = slice(int(groups.offsets[era]), int(groups.offsets[era + 1]))
            if rows.stop > rows.start:
                residual[rows] = residual_of_era(values[rows], features_of(era))
            if progress is not None:
                progress(era + 1, groups.n_eras)
    return residual


def residual_of_era(values: FloatArray, features: Features) -> FloatArray:
    """`residual_by_era` of the rows of one era."""
    inside = values[:, None]
    _check(inside, features, 1.0)
    if len(values) < 2 or _constant(inside)[0]:
        return values
    left = Neutraliser(features).residual(inside)[:, 0]
    return left if is_left(left, inside) else np.zeros(len(values))


def mixed(values: FloatArray, residual: FloatArray, proportion: float) -> FloatArray:
    """`values` less a proportion of what the features explain, which is `values` less `residual`."""
    return values - proportion * (values - residual)


def is_left(residual: FloatArray, values: FloatArray) -> bool:
    """Whether a residual is more than the rounding of the arithmetic."""
    return bool(np.std(residual) > NOTHING_LEFT * np.std(values))


class Neutraliser:
    """The features of one era, factored once, for any number of columns.

    Attributes:
        method: "cholesky", "pivoted" (some features depend on others), "lstsq" (as the reference), or "none": no
            feature varies.
    """

    def __init__(self, features: Features) -> None:
        """Factor int8[n, f] or float[n, f] features without NaN. BLAS should be limited to one thread; see above."""
        self._features = features
        self._used = _columns_of(features, (features != features[:1]).any(axis=0).nonzero()[0])
        rows, width = self._used.shape
        self._means, self._factor = np.zeros(width), np.zeros((0, 0))
        self.method: Method = "lstsq" if width else "none"
        if rows > width + 1 and width:
            self._factorise()

    def residual(self, values: FloatArray) -> FloatArray:
        """float64[n, k]: what a fit on the features and a constant leaves of each column of float64[n, k]."""
        if self.method == "lstsq":
            return self.by_lstsq(values)
        left: FloatArray = values - values.mean(axis=0)
        if self.method == "none":
            return left
        left = left - self._fit(left)
        step = self._fit(left)
        if (np.abs(step).max(axis=0) > SETTLED * values.std(axis=0)).any():
            return self.by_lstsq(values)
        return left - step

    def by_lstsq(self, values: FloatArray) -> FloatArray:
        """The reference's own arithmetic, step by step, so that even what only rounding decides comes out the same."""
        design = np.hstack((self._features, np.ones((len(self._features), 1), dtype=np.int64)))
        slopes = np.linalg.lstsq(design, values, rcond=RCOND)[0]
        return np.asarray(values - 1.0 * design.dot(slopes), dtype=np.float64)

    def _fit(self, values: FloatArray) -> FloatArray:
        """float64[n, k]: the least-squares fit of centred columns, from the factor and the features as they are."""
        size = max(32, PRODUCT_VALUES // len(self._means))
        products = np.zeros((len(self._means), values.shape[1]))
        for rows, block in self._blocks(np.float64, size):
            products += block.T @ values[rows]
        products -= np.outer(self._means, values.sum(axis=0))
        slopes = linalg.cho_solve((self._factor, True), products, check_finite=False)
        fitted = np.empty(values.shape)
        for rows, block in self._blocks(np.float64, size):
            np.matmul(block, slopes, out=fitted[rows])
        return np.asarray(fitted - self._means @ slopes)

    def _blocks(self, dtype: type[np.floating[Any]], size: int) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """The columns in use, some rows at a time, in C order whatever the order of the features.

        A block is overwritten by the next: fresh memory for each would cost more than the conversion.
        """
        n = len(self._used)
        buffer = np.empty((min(size, n), self._used.shape[1]), dtype=dtype)
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            block = buffer[: rows.stop - start]
            np.copyto(block, self._used[rows], casting="unsafe")
            yield rows, block

    def _factorise(self) -> None:
        """Cholesky, with pivots if need be; `method` stays "lstsq" where neither is safe."""
        sums = self._sums()
        gram = self._centred(sums)
        energy = float(np.trace(gram)) + len(self._features) * (1 + float(np.sum(self._means**2)))
        factor, failed = linalg.lapack.dpotrf(gram, lower=1, clean=0, overwrite_a=1)
        if not failed and self._safe(factor, energy):
            self._factor, self.method = factor, "cholesky"
            return
        del factor
        gram = self._centred(sums if sums.dtype == np.float32 else self._sums())
        line = ROUNDING * len(gram) * float(np.diag(gram).max())
        factor, order, rank, _ = linalg.lapack.dpstrf(gram, tol=line, lower=1, overwrite_a=1)
        kept = order[:rank] - 1
        self._used, self._means = _columns_of(self._used, kept), self._means[kept]
        factor = np.asfortranarray(factor[:rank, :rank])
        if 0 < rank < len(order) and self._safe(factor, energy):
            self._factor, self.method = factor, "pivoted"

    def _sums(self) -> npt.NDArray[Any]:
        """Lower triangle of the products of the shifted columns, [f, f] in Fortran order; sets the means.

        float32 and exact for levels, which are shifted by the middle one; else float64, of centred columns.
        """
        n, width = self._used.shape
        exact = self._exact_in_float32()
        dtype: type[np.floating[Any]] = np.float32 if exact else np.float64
        syrk = linalg.blas.ssyrk if exact else linalg.blas.dsyrk
        shift = np.full(width, MIDDLE_LEVEL, dtype) if exact else self._used.mean(axis=0, dtype=np.float64)
        products, total = np.zeros((width, width), dtype=dtype, order="F"), np.zeros(width)
        for _, block in self._blocks(dtype, GRAM_ROWS):
            block -= shift
            total += block.sum(axis=0)
            products = syrk(1.0, block.T, beta=1.0, c=products, lower=1, overwrite_c=1)
        self._shift, self._means = shift, shift + total / n
        return np.asarray(products)

    def _centred(self, sums: npt.NDArray[Any]) -> FloatArray:
        """Lower triangle of the products of the centred columns, float64[f, f]; `sums` are lost if they are float64."""
        gram = sums.astype(np.float64, order="F", copy=sums.dtype != np.float64)
        shift = self._means - self._shift
        return np.asarray(linalg.blas.dsyr(-float(len(self._used)), shift, lower=1, a=gram, overwrite_a=1))

    def _exact_in_float32(self) -> bool:
        if self._used.dtype != np.int8:
            return False
        largest = max(abs(int(self._used.min()) - MIDDLE_LEVEL), abs(int(self._used.max()) - MIDDLE_LEVEL))
        return len(self._used) * largest**2 < EXACT_FLOAT32

    def _safe(self, factor: FloatArray, energy: float) -> bool:
        """Whether the reference would keep every singular value of its matrix, features as given and a column of ones.

        The largest is at most the root of the sum of squares (`energy`); the smallest comes from a few products with
        the inverse of its Gram matrix, put together from the factor and the means.
        """
        n = len(self._features)
        vector, inverse = np.random.default_rng(0).standard_normal(len(self._means) + 1), 0.0
        for _ in range(POWER_STEPS):
            vector /= np.linalg.norm(vector)
            upper = linalg.cho_solve((factor, True), vector[:-1] - self._means * vector[-1], check_finite=False)
            vector = np.append(upper, vector[-1] / n - self._means @ upper)
            inverse = float(np.linalg.norm(vector))
        return bool(np.isfinite(inverse)) and inverse * energy * RCOND**2 * SAFETY < 1


def _columns_of(features: Features, chosen: npt.NDArray[np.intp]) -> Features:
    """The features themselves when all are chosen in their order, else a copy of the chosen ones, one byte a level."""
    if np.array_equal(chosen, np.arange(features.shape[1])):
        return features
    return np.take(features, chosen, axis=1)


def _constant(columns: FloatArray) -> npt.NDArray[np.bool_]:
    """bool[k]: columns of two rows or more that hold one value."""
    if len(columns) < 2:
        return np.zeros(columns.shape[1], dtype=bool)
    return np.asarray(columns.min(axis=0) == columns.max(axis=0))


def _check(columns: FloatArray, features: Features, proportion: float) -> None:
    if columns.ndim != 2 or features.ndim != 2 or len(columns) != len(features):
        raise ScoreInputError(
            f"features of shape {features.shape} for predictions of shape {columns.shape}", "align them with the rows"
        )
    if not 0 <= proportion <= 1:
        raise ScoreInputError(f"a proportion of {proportion}", "choose one from 0 to 1")
    if np.isnan(columns).any():
        raise ScoreInputError("a prediction is NaN", "leave out the rows without a prediction")
    if features.dtype.kind == "f" and np.isnan(features).any():
        raise ScoreInputError("a feature is NaN", "store missing features as 2, as the era store does")
