"""Numerai's per-era scores for all eras at once: CORR, contribution (MMC, BMC) and correlation with another model.

Each score is a weighted sum over the rows of an era, in the order of the predictions. The weights depend on the target
(and the meta model) only, so they are prepared once and used for any number of predictions: what is left for each is
one sort. The definitions are those of `numerai_tools.scoring`; the tests compare the two to 1e-9 in float64.

What happens to rows that are not known, exactly as there: a row without prediction, target or meta model is dropped;
with several prediction columns, a row is dropped when any of them is missing. CORR centres the target *before* rows
are dropped, contribution centres it *after*, and multiplies a target within [0, 1] by 4 after it too. Where more than
20 % of an era's rows are dropped numerai_tools fails on an assertion; here the era's score is NaN, because eras whose
target is not yet resolved, or that no meta model covers, are normal. Other inputs that it refuses give NaN as well: an
era of one row for CORR, an infinite or (after dropping) constant target for CORR. Infinite predictions are ranked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.scoring.ranking import (
    BoolArray,
    EraGroups,
    FloatArray,
    Order,
    ScoreInputError,
    order_within_eras,
    signed_power,
)

# numerai_tools.scoring.DEFAULT_MAX_FILTERED_INDEX_RATIO
MAX_DROPPED = 0.2


def era_corr(predictions: npt.ArrayLike, target: npt.ArrayLike, groups: EraGroups) -> FloatArray:
    """Numerai's CORR of every era (`numerai_tools.scoring.numerai_corr`).

    Args:
        predictions: float64[n] or [n, k], aligned with the rows of `groups`; NaN where there is none.
        target: float64[n], NaN where it is not known.
        groups: the eras of the rows.

    Returns:
        float64[n_eras] or [n_eras, k]; NaN for constant predictions and for eras that cannot be scored.

    Raises:
        ScoreInputError: when the lengths differ.
    """
    return PreparedCorr(target, groups)(predictions)


def era_contribution(
    predictions: npt.ArrayLike, meta_model: npt.ArrayLike, target: npt.ArrayLike, groups: EraGroups
) -> FloatArray:
    """MMC with the meta model, BMC with a benchmark (`numerai_tools.scoring.correlation_contribution`).

    Args:
        predictions: float64[n] or [n, k], NaN where there is none.
        meta_model: float64[n], NaN where the meta model or benchmark does not cover.
        target: float64[n] in [0, 1], NaN where it is not known. Do not centre it: the result would be 4 times smaller.
        groups: the eras of the rows.

    Returns:
        float64[n_eras] or [n_eras, k]; 0 for constant predictions, NaN for a constant meta model or an era without one.

    Raises:
        ScoreInputError: when the lengths differ.
    """
    return PreparedContribution(meta_model, target, groups)(predictions)


def era_correlation_with(predictions: npt.ArrayLike, other: npt.ArrayLike, groups: EraGroups) -> FloatArray:
    """Pearson correlation of tie-kept ranks with another model, such as the benchmark, in every era.

    This is `numerai_tools.scoring.spearman_correlation` on the rows that both models cover; the rule about 20 %
    dropped rows applies here too. No gaussianising and no power: it tells how alike two rankings are.

    Args:
        predictions: float64[n] or [n, k].
        other: float64[n].
        groups: the eras of the rows.

    Returns:
        float64[n_eras] or [n_eras, k]; NaN where either side is constant or not known.
    """
    return rank_correlation(other, groups)(predictions)


def rank_correlation(other: npt.ArrayLike, groups: EraGroups) -> PreparedScore:
    """The prepared form of `era_correlation_with`."""
    return _PreparedRankCorrelation(other, groups)


@dataclass(frozen=True)
class _Weights:
    """The prepared side of a score: rows that count, the weight of each, and the eras that have a score at all."""

    keep: BoolArray
    weights: FloatArray
    scored: BoolArray
    groups: EraGroups


class PreparedScore:
    """A score whose target side is prepared once; call it with predictions, as often as needed."""

    def __init__(self, groups: EraGroups, known: BoolArray) -> None:
        self._groups = groups
        self._known = known
        self._prepared = self._weigh(known)

    def __call__(self, predictions: npt.ArrayLike) -> FloatArray:
        """float64[n_eras] for float64[n] predictions, float64[n_eras, k] for [n, k]."""
        return self.of(SortedPredictions(predictions, self._groups))

    def of(self, predictions: SortedPredictions) -> FloatArray:
        """The same for predictions that are sorted already, so that several scores share one sort."""
        prepared = self._prepared
        if not predictions.known[prepared.keep].all():
            prepared = self._weigh(self._known & predictions.known)
        scores = [self._score(_restrict(order, prepared), prepared) for order in predictions.orders]
        return predictions.shaped(scores)

    def _weigh(self, keep: BoolArray) -> _Weights:
        with np.errstate(invalid="ignore"):
            enough = self._groups.counts(keep) / self._groups.sizes >= 1 - MAX_DROPPED
        keep = keep & np.repeat(enough, self._groups.sizes)
        groups = self._groups if keep.all() else self._groups.only(keep)
        with np.errstate(all="ignore"):
            values, defined = self._weights(keep, groups)
        weights = np.zeros(self._groups.n_rows)
        weights[keep] = values
        return _Weights(keep, weights, enough & defined, groups)

    def _score(self, order: Order, prepared: _Weights) -> FloatArray:
        with np.errstate(all="ignore"):
            score = self._sum(order, prepared.weights)
        return np.where(prepared.scored, score, np.nan)

    def _weights(self, keep: BoolArray, groups: EraGroups) -> tuple[FloatArray, BoolArray]:
        raise NotImplementedError

    def _sum(self, order: Order, weights: FloatArray) -> FloatArray:
        raise NotImplementedError


class PreparedCorr(PreparedScore):
    """CORR against one target. See `era_corr`."""

    def __init__(self, target: npt.ArrayLike, groups: EraGroups) -> None:
        self._target = column(target, groups, "target")
        known = ~np.isnan(self._target)
        with np.errstate(all="ignore"):
            mean = groups.sums(self._target if known.all() else np.where(known, self._target, 0.0)) / groups.counts(
                known
            )
            self._powered = signed_power(self._target - groups.spread(mean))
        super().__init__(groups, known)

    def _weights(self, keep: BoolArray, groups: EraGroups) -> tuple[FloatArray, BoolArray]:
        values = groups.centred(self._powered[keep])
        norm = _norms(values, groups)
        defined = ~groups.constant(self._target[keep]) & np.isfinite(norm) & (norm > 0)
        return values / groups.spread(norm), defined

    def _sum(self, order: Order, weights: FloatArray) -> FloatArray:
        scores = order.gaussian_power()
        norms = order.groups.untied_power_norm if order.ties is None else _norms(scores, order.groups)
        return np.clip(order.groups.sums(scores * weights[order.rows]) / norms, -1.0, 1.0)


class PreparedContribution(PreparedScore):
    """Contribution to one meta model or benchmark against one target. See `era_contribution`."""

    def __init__(self, meta_model: npt.ArrayLike, target: npt.ArrayLike, groups: EraGroups) -> None:
        self._target = column(target, groups, "target")
        self._meta = column(meta_model, groups, "meta_model")
        super().__init__(groups, ~(np.isnan(self._target) | np.isnan(self._meta)))

    def _weights(self, keep: BoolArray, groups: EraGroups) -> tuple[FloatArray, BoolArray]:
        target = self._target[keep]
        outside = groups.any_of((target < 0) | (target > 1))
        target = groups.centred(target * groups.spread(np.where(outside, 1.0, 4.0)))
        order = order_within_eras(self._meta[keep], groups)
        meta = np.empty(groups.n_rows)
        meta[order.rows] = order.gaussian()
        # Orthogonalising the target with respect to the meta model gives the same sum as doing it to each prediction.
        beta = groups.sums(target * meta) / groups.sums(meta * meta)
        return (target - meta * groups.spread(beta)) / groups.spread(groups.sizes.astype(np.float64)), np.isfinite(beta)

    def _sum(self, order: Order, weights: FloatArray) -> FloatArray:
        return order.groups.sums(order.gaussian() * weights[order.rows])


class _PreparedRankCorrelation(PreparedScore):
    def __init__(self, other: npt.ArrayLike, groups: EraGroups) -> None:
        self._other = column(other, groups, "other")
        super().__init__(groups, ~np.isnan(self._other))

    def _weights(self, keep: BoolArray, groups: EraGroups) -> tuple[FloatArray, BoolArray]:
        order = order_within_eras(self._other[keep], groups)
        ranks = np.empty(groups.n_rows)
        ranks[order.rows] = order.ranks()
        norm = _norms(ranks, groups)
        return groups.centred(ranks) / groups.spread(norm), norm > 0

    def _sum(self, order: Order, weights: FloatArray) -> FloatArray:
        ranks = order.ranks()
        norms = _norms(ranks, order.groups)
        scores = order.groups.sums(ranks * weights[order.rows]) / np.where(norms > 0, norms, np.nan)
        return np.clip(scores, -1.0, 1.0)


class SortedPredictions:
    """One or several columns of predictions, sorted within each era once for all scores.

    Args:
        predictions: float64[n] or [n, k]; NaN where there is none.
        groups: the eras of the rows.
    """

    def __init__(self, predictions: npt.ArrayLike, groups: EraGroups) -> None:
        values = np.asarray(predictions, dtype=np.float64)
        self._single = values.ndim == 1
        table = values[:, None] if self._single else values
        if table.ndim != 2 or len(table) != groups.n_rows:
            raise ScoreInputError(
                f"predictions of shape {values.shape} for {groups.n_rows} rows", "align them with the rows of the eras"
            )
        self.known: BoolArray = np.logical_not(np.isnan(table).any(axis=1))
        whole = bool(self.known.all())
        kept = groups if whole else groups.only(self.known)
        rows = None if whole else np.flatnonzero(self.known)
        self.orders = [_order(table[:, j], rows, kept) for j in range(table.shape[1])]

    def shaped(self, columns: list[FloatArray]) -> FloatArray:
        """[n_eras] when the predictions were one column, else [n_eras, k]."""
        return columns[0] if self._single else np.stack(columns, axis=1)


def column(values: npt.ArrayLike, groups: EraGroups, name: str) -> FloatArray:
    """`values` as float64[n_rows].

    Raises:
        ScoreInputError: when the shape does not fit the rows of `groups`.
    """
    array: npt.NDArray[Any] = np.asarray(values, dtype=np.float64)
    if array.shape != (groups.n_rows,):
        raise ScoreInputError(f"{name} of shape {array.shape} for {groups.n_rows} rows", "align it with the eras' rows")
    return array


def _order(values: FloatArray, rows: npt.NDArray[np.int64] | None, groups: EraGroups) -> Order:
    if rows is None:
        return order_within_eras(np.ascontiguousarray(values), groups)
    order = order_within_eras(values[rows], groups)
    return Order(rows[order.rows], order.groups, order.ties)


def _restrict(order: Order, prepared: _Weights) -> Order:
    if order.groups.n_rows == prepared.groups.n_rows:
        # The same rows: take the prepared groups, whose tables of quantiles are already computed.
        return Order(order.rows, prepared.groups, order.ties)
    smaller = order.only(prepared.keep)
    return Order(smaller.rows, prepared.groups, smaller.ties)


def _norms(scores: FloatArray, groups: EraGroups) -> FloatArray:
    centred = groups.centred(scores)
    return np.asarray(np.sqrt(groups.sums(centred * centred)))
