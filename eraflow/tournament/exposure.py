"""What a model owes to single features: feature-neutral correlation (FNC) and maximum feature exposure, era by era.

One era's features are looked at at a time, so that a matrix larger than memory can be scored through a memory map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg
from threadpoolctl import threadpool_limits

from eraflow.tournament.metrics import MAX_DROPPED, column, era_corr
from eraflow.tournament.ranking import EraGroups, FloatArray, ScoreInputError, order_within_eras

Features = npt.NDArray[Any]
FeaturesOf = Callable[[int], Features]
Progress = Callable[[int, int], None]

# numerai_tools.scoring.neutralize: singular values below this fraction of the largest count as zero.
RCOND = 1e-6
# A feature whose share of its own variance is below this, given the others, is a combination of them.
MIN_OWN_VARIANCE = 1e-8
# Residuals nearer than this (in standard deviations) may be ties, which only the reference's own arithmetic can settle.
NEAR_TIE = 1e-10
# A residual this small against what was neutralised is rounding: the features explain the predictions completely.
NOTHING_LEFT = 1e-9
# float32 holds every integer up to here, so a Gram matrix of integer levels within it is exact.
EXACT_FLOAT32 = 2**24
# Columns that are turned into float64 at once.
COLUMN_BLOCK = 512
# An era is too small for more: threads that wait for each other on a busy machine were measured to cost ten times over.
BLAS_THREADS = 1


def era_fnc(predictions: npt.ArrayLike, features: Features, target: npt.ArrayLike, groups: EraGroups) -> FloatArray:
    """Feature-neutral correlation of every era (`numerai_tools.scoring.feature_neutral_corr`).

    Args:
        predictions: float64[n] or [n, k]; rows without a prediction are left out, as if the reference had been called
            without them. Columns are neutralised and scored one by one.
        features: int8[n, f] (floating point works too, more slowly), without missing values.
        target: float64[n], NaN where it is not known.
        groups: the eras of the rows.

    Returns:
        float64[n_eras] or [n_eras, k]. NaN for constant predictions, for eras that CORR cannot score, and where the
        features explain the predictions completely (no more rows than features): the reference then correlates
        rounding errors. Where residuals tie only up to rounding, rows in another order than sorted ids may break the
        tie differently than the reference does.

    Raises:
        ScoreInputError: when the lengths differ or a feature is NaN.
    """
    _check_rows(features, groups)
    return fnc_by_era(predictions, _slices(features, groups), target, groups)


def era_max_exposure(predictions: npt.ArrayLike, features: Features, groups: EraGroups) -> FloatArray:
    """Largest absolute correlation with a feature, in every era (`numerai_tools.scoring.max_feature_correlation`).

    Args:
        predictions: float64[n] or [n, k], used as they are (not ranked); rows without one are left out, and an era that
            lacks more than 20 % of them is NaN.
        features: int8[n, f]; constant columns are passed over.
        groups: the eras of the rows.

    Returns:
        float64[n_eras] or [n_eras, k]; NaN for constant predictions.

    Raises:
        ScoreInputError: when the lengths differ.
    """
    _check_rows(features, groups)
    return max_exposure_by_era(predictions, _slices(features, groups), groups)


def fnc_by_era(
    predictions: npt.ArrayLike,
    features_of: FeaturesOf,
    target: npt.ArrayLike,
    groups: EraGroups,
    progress: Progress | None = None,
) -> FloatArray:
    """`era_fnc` with the features of an era given by a function of its position, so that only one lies in memory."""
    goal = column(target, groups, "target")
    table, single = _table(predictions, groups)
    neutral = np.full(table.shape, np.nan)
    with threadpool_limits(limits=BLAS_THREADS, user_api="blas"):
        for era, rows in _eras(groups, progress):
            # An era that CORR cannot score (such as an unresolved one) is spared its features.
            if rows.stop > rows.start and np.mean(~np.isnan(goal[rows])) >= 1 - MAX_DROPPED:
                _neutralise_era(table[rows], features_of(era), neutral[rows])
    scores = [era_corr(np.ascontiguousarray(neutral[:, j]), goal, groups) for j in range(table.shape[1])]
    return scores[0] if single else np.stack(scores, axis=1)


def max_exposure_by_era(
    predictions: npt.ArrayLike, features_of: FeaturesOf, groups: EraGroups, progress: Progress | None = None
) -> FloatArray:
    """`era_max_exposure` with the features of an era given by a function of its position."""
    table, single = _table(predictions, groups)
    result = np.full((groups.n_eras, table.shape[1]), np.nan)
    with threadpool_limits(limits=BLAS_THREADS, user_api="blas"):
        for era, rows in _eras(groups, progress):
            features = features_of(era)
            for j in range(table.shape[1]):
                result[era, j] = _max_exposure(table[rows, j], features)
    return result[:, 0] if single else result


def neutralise(scores: FloatArray, features: Features) -> FloatArray:
    """What is left of `scores` after a least-squares fit on the features and a constant.

    Args:
        scores: float64[n] without NaN.
        features: [n, f] without NaN.

    Returns:
        float64[n]; NaN when nothing but rounding is left. The normal equations are solved with Cholesky (several times
        faster than a singular value decomposition); where they are not safe (dependent features, few rows, possible
        ties) `lstsq` takes over with the reference's tolerance.
    """
    left = _by_cholesky(scores, features) if features.dtype == np.int8 else None
    if left is None or _near_ties(left):
        left = _by_lstsq(scores, features)
    return left if np.std(left) > NOTHING_LEFT * np.std(scores) else np.full(len(left), np.nan)


def _eras(groups: EraGroups, progress: Progress | None) -> Iterator[tuple[int, slice]]:
    """Position and rows of each era."""
    for era in range(groups.n_eras):
        yield era, slice(int(groups.offsets[era]), int(groups.offsets[era + 1]))
        if progress is not None:
            progress(era + 1, groups.n_eras)


def _neutralise_era(predictions: FloatArray, features: Features, out: FloatArray) -> None:
    if features.dtype.kind == "f" and np.isnan(features).any():
        raise ScoreInputError("a feature is NaN", "store missing features as 2, as the era store does")
    for j in range(predictions.shape[1]):
        known = ~np.isnan(predictions[:, j])
        values, of_known = predictions[known, j], features if known.all() else features[known]
        if len(values) < 2 or values.min() == values.max():
            continue
        order = order_within_eras(values, EraGroups.from_sizes([len(values)]))
        scores = np.empty(len(values))
        scores[order.rows] = order.gaussian()
        left = neutralise(scores, of_known)
        out[known, j] = left / np.std(left)


def _by_cholesky(scores: FloatArray, features: npt.NDArray[np.int8]) -> FloatArray | None:
    """The residual, or None where the normal equations are not safe."""
    varying = (features != features[0]).any(axis=0)
    n, f = len(features), int(varying.sum())
    if n <= f + 1:
        return None
    left: FloatArray = scores - scores.mean()
    if f == 0:
        return left
    levels = (features if f == features.shape[1] else features[:, varying]).astype(np.float32) - np.float32(2)
    if n * float(np.abs(levels).max()) ** 2 >= EXACT_FLOAT32:
        return None
    x = levels.astype(np.float64)
    means = x.mean(axis=0)
    gram = (levels.T @ levels).astype(np.float64) - n * np.outer(means, means)
    try:
        factor = linalg.cho_factor(gram, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return None
    if np.min(np.diag(factor[0]) ** 2 / np.diag(gram)) < MIN_OWN_VARIANCE:
        return None
    for _ in range(2):  # the second pass refines the first
        slopes = linalg.cho_solve(factor, x.T @ left - means * left.sum(), check_finite=False)
        left = left - (x @ slopes - means @ slopes)
    return np.asarray(left, dtype=np.float64)


def _by_lstsq(scores: FloatArray, features: Features) -> FloatArray:
    """The reference's own arithmetic, step by step, so that even ties that only rounding breaks come out the same."""
    design = np.hstack((features, np.ones((len(features), 1), dtype=np.int64)))
    slopes = np.linalg.lstsq(design, scores[:, None], rcond=RCOND)[0]
    return np.asarray((scores[:, None] - 1.0 * design.dot(slopes))[:, 0], dtype=np.float64)


def _near_ties(left: FloatArray) -> bool:
    return bool(np.diff(np.sort(left)).min(initial=np.inf) < NEAR_TIE * np.std(left))


def _max_exposure(predictions: FloatArray, features: Features) -> float:
    known = ~np.isnan(predictions)
    if len(known) == 0 or known.mean() < 1 - MAX_DROPPED:
        return np.nan
    values, of_known = predictions[known], features if known.all() else features[known]
    with np.errstate(all="ignore"):
        centred = values - values.mean()
        length = np.sqrt(np.sum(centred * centred))
        if values.min() == values.max() or not np.isfinite(length) or length == 0:
            return np.nan
        blocks = range(0, of_known.shape[1], COLUMN_BLOCK)
        largest = max(_largest(centred / length, of_known[:, start : start + COLUMN_BLOCK]) for start in blocks)
    return min(1.0, largest) if np.isfinite(largest) else np.nan


def _largest(direction: FloatArray, features: Features) -> float:
    """Largest |correlation|; `direction` is centred and of length one, so that sums over raw levels will do."""
    x = features.astype(np.float64)
    if features.dtype.kind == "f":
        x -= x.mean(axis=0)  # integers sum exactly, other values need centring first
    products, sums = np.stack([direction, np.ones(len(x))]) @ x
    squares = np.einsum("ij,ij->j", x, x) - sums * sums / len(x)
    varying = (features != features[0]).any(axis=0)
    return float(np.max(np.abs(products[varying]) / np.sqrt(squares[varying]), initial=-np.inf))


def _table(predictions: npt.ArrayLike, groups: EraGroups) -> tuple[FloatArray, bool]:
    values = np.asarray(predictions, dtype=np.float64)
    table = values[:, None] if values.ndim == 1 else values
    if table.ndim != 2 or len(table) != groups.n_rows:
        raise ScoreInputError(
            f"predictions of shape {values.shape} for {groups.n_rows} rows", "align them with the rows"
        )
    return table, values.ndim == 1


def _check_rows(features: Features, groups: EraGroups) -> None:
    if features.ndim != 2 or len(features) != groups.n_rows:
        raise ScoreInputError(
            f"features of shape {features.shape} for {groups.n_rows} rows", "align them with the rows"
        )


def _slices(features: Features, groups: EraGroups) -> FeaturesOf:
    return lambda era: features[groups.offsets[era] : groups.offsets[era + 1]]
