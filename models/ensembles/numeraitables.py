"""What Numerai pays, approximately and for any blend of some members, from a few sums of each era.

A blend is the weighted sum of the members' gaussianised ranks. It would be gaussianised again before it is scored;
without that its CORR and its contribution are both linear in the weights over the spread of the blend:

    payout = (corr . w + contribution . w) / sqrt(w' inner w)

`models.ensembles.exactscores` scores a blend exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eraflow.scoring.payout import Payout
from eraflow.scoring.ranking import BoolArray, EraGroups, order_within_eras, signed_power
from models.base.protocol import FloatArray


@dataclass(frozen=True)
class NumeraiTables:
    """Sums of each era.

    Attributes:
        inner: float64[e, k, k], mean products of the standardised members.
        corr: float64[e, k], of each member alone, as it would be without the power of 1.5 on its own ranks.
        contribution: float64[e, k], of each member alone; 0 where there is neither meta model nor benchmark.
    """

    inner: FloatArray
    corr: FloatArray
    contribution: FloatArray

    def at(self, eras: slice | BoolArray) -> NumeraiTables:
        """Some of the eras."""
        return NumeraiTables(self.inner[eras], self.corr[eras], self.contribution[eras])

    def payouts(self, weights: FloatArray, payout: Payout) -> FloatArray:
        """float64[e]: what a blend with these weights, float64[k], would be paid, without the cut."""
        return (self._sides(payout) @ weights) / spread_of(products(self.inner, weights), weights)

    def slope(self, weights: FloatArray, payout: Payout, shares: FloatArray) -> FloatArray:
        """float64[k]: the derivative of the sum of `shares`, float64[e], times the payouts."""
        sides, moved = self._sides(payout), products(self.inner, weights)
        spread = spread_of(moved, weights)
        pulled = (sides @ weights) / spread**3
        return np.asarray((shares / spread) @ sides - (shares * pulled) @ moved)

    def alone(self, payout: Payout) -> FloatArray:
        """float64[e, k]: what each member by itself would be paid, without the cut."""
        own = np.diagonal(self.inner, axis1=1, axis2=2)
        return self._sides(payout) / np.sqrt(np.maximum(own, TINY))

    def _sides(self, payout: Payout) -> FloatArray:
        return payout.corr * self.corr + payout.mmc * self.contribution


TINY = 1e-12
"""The least variance of a blend: one of members that cancel each other out is worth nothing, not infinitely much."""


def products(inner: FloatArray, weights: FloatArray) -> FloatArray:
    """float64[e, k]: each era's float64[k, k] times the weights. As one product, since there is a search over them."""
    eras, members = inner.shape[:2]
    return np.asarray((inner.reshape(eras * members, members) @ weights).reshape(eras, members))


def spread_of(moved: FloatArray, weights: FloatArray) -> FloatArray:
    """float64[e]: the spread of a blend, from its `products`."""
    return np.asarray(np.sqrt(np.maximum(moved @ weights, TINY)))


def numerai_sums(
    members: FloatArray, target: FloatArray, other: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`inner`, `corr` and `contribution` of one era.

    Args:
        members: float64[m, k], finite.
        target: float64[m] within [0, 1], not constant.
        other: float64[m], the meta model or the benchmark; None: there is none.
    """
    rows = len(target)
    standing = standardised(gaussianised(members))
    powered = standardised(signed_power(target - target.mean())[:, None])[:, 0]
    inner, corr = standing.T @ standing / rows, standing.T @ powered / rows
    if other is None:
        return inner, corr, np.zeros(members.shape[1])
    meta = standardised(gaussianised(other[:, None]))[:, 0]
    centred = 4 * (target - target.mean())  # as numerai_tools.scoring.correlation_contribution has it
    left = centred - meta * float(meta @ centred) / rows
    return inner, corr, standing.T @ left / rows


def gaussianised(columns: FloatArray) -> FloatArray:
    """float64[m, k]: each column as normal quantiles of its ranks, ties kept."""
    one_era = EraGroups.from_sizes([len(columns)])
    result = np.empty(columns.shape)
    for place in range(columns.shape[1]):
        order = order_within_eras(np.ascontiguousarray(columns[:, place], dtype=np.float64), one_era)
        result[order.rows, place] = order.gaussian()
    return result


def standardised(columns: FloatArray) -> FloatArray:
    """float64[m, k]: mean 0 and mean square 1; a constant column becomes 0."""
    centred = columns - columns.mean(axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0))
