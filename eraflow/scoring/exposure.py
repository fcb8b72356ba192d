"""What a model owes to single features: feature-neutral correlation (FNC) and maximum feature exposure, era by era.

One era's features are looked at at a time, so that a matrix larger than memory can be scored through a memory map.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from eraflow.scoring.metrics import MAX_DROPPED, column, era_corr
from eraflow.scoring.neutralise import Features, FeaturesOf, Neutraliser, Progress, is_left, one_blas_thread
from eraflow.scoring.ranking import BoolArray, EraGroups, FloatArray, ScoreInputError, order_within_eras

# Residuals nearer than this (in standard deviations) may be ties, which only the reference's own arithmetic can settle.
NEAR_TIE = 1e-10
# Columns that are turned into float64 at once.
COLUMN_BLOCK = 512


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
    with one_blas_thread():
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
    with one_blas_thread():
        for era, rows in _eras(groups, progress):
            features = features_of(era)
            result[era] = max_exposures(table[rows], features)
    return result[:, 0] if single else result


def max_exposures(predictions: FloatArray, features: Features) -> FloatArray:
    """float64[k]: `era_max_exposure` of float64[n, k] predictions of one era; BLAS should be limited to one thread."""
    result = np.full(predictions.shape[1], np.nan)
    for known, columns in _by_known_rows(predictions):
        result[columns] = _max_exposure(predictions[:, columns], known, features)
    return result


def _eras(groups: EraGroups, progress: Progress | None) -> Iterator[tuple[int, slice]]:
    """Position and rows of each era."""
    for era in range(groups.n_eras):
        yield era, slice(int(groups.offsets[era]), int(groups.offsets[era + 1]))
        if progress is not None:
            progress(era + 1, groups.n_eras)


def _neutralise_era(predictions: FloatArray, features: Features, out: FloatArray) -> None:
    if features.dtype.kind == "f" and np.isnan(features).any():
        raise ScoreInputError("a feature is NaN", "store missing features as 2, as the era store does")
    for known, columns in _by_known_rows(predictions):
        values, of_known = predictions[known][:, columns], features if known.all() else features[known]
        if len(values) < 2:
            continue
        varying = values.min(axis=0) != values.max(axis=0)
        if not varying.any():
            continue
        scores = np.stack([_gaussian(column) for column in values.T[varying]], axis=1)
        left = _neutral(scores, of_known)
        with np.errstate(invalid="ignore"):
            out[np.ix_(known, columns[varying])] = left / left.std(axis=0)


def _by_known_rows(predictions: FloatArray) -> Iterator[tuple[BoolArray, npt.NDArray[np.int64]]]:
    """bool[n] of rows with a prediction, and the columns of float64[n, k] that have exactly these: mostly all."""
    known = ~np.isnan(predictions)
    left = np.arange(predictions.shape[1])
    while left.size:
        same = (known[:, left] == known[:, left[:1]]).all(axis=0)
        yield known[:, left[0]], left[same]
        left = left[~same]


def _gaussian(values: FloatArray) -> FloatArray:
    order = order_within_eras(np.ascontiguousarray(values), EraGroups.from_sizes([len(values)]))
    scores = np.empty(len(values))
    scores[order.rows] = order.gaussian()
    return scores


def _neutral(scores: FloatArray, features: Features) -> FloatArray:
    """float64[n, k]: what the features leave; NaN when that is nothing but rounding.

    The ranks of the residuals are what counts, so where two may be tied the reference's own arithmetic decides.
    """
    neutraliser = Neutraliser(features)
    left = neutraliser.residual(scores)
    for j in range(left.shape[1]):
        if _near_ties(left[:, j]):
            left[:, j] = neutraliser.by_lstsq(scores[:, j : j + 1])[:, 0]
        if not is_left(left[:, j], scores[:, j]):
            left[:, j] = np.nan
    return left


def _near_ties(left: FloatArray) -> bool:
    return bool(np.diff(np.sort(left)).min(initial=np.inf) < NEAR_TIE * np.std(left))


def _max_exposure(predictions: FloatArray, known: BoolArray, features: Features) -> FloatArray:
    """float64[k] of float64[n, k], whose `known` rows have a prediction; the features are turned into float64 once."""
    result = np.full(predictions.shape[1], np.nan)
    if len(known) == 0 or known.mean() < 1 - MAX_DROPPED:
        return result
    values, of_known = predictions[known], features if known.all() else features[known]
    with np.errstate(all="ignore"):
        centred = values - values.mean(axis=0)
        length = np.sqrt(np.sum(centred * centred, axis=0))
        usable = (values.min(axis=0) != values.max(axis=0)) & np.isfinite(length) & (length > 0)
        if not usable.any():
            return result
        directions = (centred / length)[:, usable].T
        blocks = range(0, of_known.shape[1], COLUMN_BLOCK)
        largest = np.max([_largest(directions, of_known[:, at : at + COLUMN_BLOCK]) for at in blocks], axis=0)
    result[usable] = np.where(np.isfinite(largest), np.minimum(1.0, largest), np.nan)
    return result


def _largest(directions: FloatArray, features: Features) -> FloatArray:
    """Largest |correlation| of each row of float64[k, n]; directions are centred and of length one, so that sums over
    raw levels will do."""
    x = features.astype(np.float64)
    if features.dtype.kind == "f":
        x -= x.mean(axis=0)  # integers sum exactly, other values need centring first
    products = np.concatenate([directions, np.ones((1, len(x)))]) @ x
    squares = np.einsum("ij,ij->j", x, x) - products[-1] ** 2 / len(x)
    varying = (features != features[0]).any(axis=0)
    exposures = np.abs(products[:-1, varying]) / np.sqrt(squares[varying])
    return np.asarray(np.max(exposures, axis=1, initial=-np.inf))


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
