"""The second measure: Spearman, and partial Spearman given the meta model. Ranks alone, with code of their own.

It puts no weight on the tails, and shares no formula with what Numerai pays. The two are not independent evidence: they
look at the same eras, and their differences between members go together (they were seen to agree in sign in about four
of five spans of 52 eras). Where they disagree, what one of them found is noise.

A blend is the weighted sum of the members' standardised ranks; it would be ranked again before it is scored, and
without that its correlations are linear in the weights over its spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from eraflow.scoring.payout import Payout
from eraflow.scoring.ranking import BoolArray
from models.base.protocol import FloatArray

TINY = 1e-12
"""The least variance of a blend, and the least of what a meta model leaves over."""


@dataclass(frozen=True)
class RankTables:
    """Sums of each era.

    Attributes:
        inner: float64[e, k, k], Spearman of two members.
        target: float64[e, k], Spearman of a member and the target.
        other: float64[e, k], of a member and the meta model or the benchmark; 0 where there is neither.
        truth: float64[e], of that model and the target; 0 likewise.
        paid: float64[e], 1 where there is such a model, else 0: no contribution.
    """

    inner: FloatArray
    target: FloatArray
    other: FloatArray
    truth: FloatArray
    paid: FloatArray

    def at(self, eras: slice | BoolArray) -> RankTables:
        """Some of the eras."""
        return RankTables(self.inner[eras], self.target[eras], self.other[eras], self.truth[eras], self.paid[eras])

    def payouts(self, weights: FloatArray, payout: Payout) -> FloatArray:
        """float64[e]: the multiplier of CORR times Spearman, that of MMC times partial Spearman, without the cut."""
        spread = self._spread(self._moved(weights), weights)
        plain, against = (self.target @ weights) / spread, (self.other @ weights) / spread
        partial = (plain - against * self.truth) * self._left(against) * self._left(self.truth)
        return payout.corr * plain + payout.mmc * self.paid * partial

    def slope(self, weights: FloatArray, payout: Payout, shares: FloatArray) -> FloatArray:
        """float64[k]: the derivative of the sum of `shares`, float64[e], times the payouts."""
        moved = self._moved(weights)
        spread = self._spread(moved, weights)
        plain, against = (self.target @ weights) / spread, (self.other @ weights) / spread
        left, known = self._left(against), payout.mmc * self.paid * self._left(self.truth)
        by_plain = shares * (payout.corr + known * left)
        by_against = shares * known * (-self.truth * left + (plain - against * self.truth) * against * left**3)
        pulled = (by_plain * plain + by_against * against) / spread**2
        return np.asarray((by_plain / spread) @ self.target + (by_against / spread) @ self.other - pulled @ moved)

    def _moved(self, weights: FloatArray) -> FloatArray:
        """float64[e, k]: each era's Spearman correlations times the weights."""
        rows = self.inner.reshape(-1, len(weights))
        return np.asarray((rows @ weights).reshape(len(self.inner), len(weights)))

    @staticmethod
    def _spread(moved: FloatArray, weights: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt(np.maximum(moved @ weights, TINY)))

    @staticmethod
    def _left(correlation: FloatArray) -> FloatArray:
        """One over the share that a correlation leaves over."""
        return np.asarray(1 / np.sqrt(np.maximum(1 - correlation**2, TINY)))


def rank_sums(
    members: FloatArray, target: FloatArray, other: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray, float, float]:
    """`inner`, `target`, `other`, `truth` and `paid` of one era; arguments as for `numerai_sums`."""
    rows = len(target)
    standing, goal = _standing(members), _standing(target[:, None])[:, 0]
    inner, own = standing.T @ standing / rows, standing.T @ goal / rows
    if other is None:
        return inner, own, np.zeros(members.shape[1]), 0.0, 0.0
    meta = _standing(other[:, None])[:, 0]
    return inner, own, standing.T @ meta / rows, float(goal @ meta / rows), 1.0


def _standing(columns: FloatArray) -> FloatArray:
    """float64[m, k]: average ranks with mean 0 and mean square 1; a constant column becomes 0."""
    ranks = rankdata(columns, axis=0)
    centred = ranks - ranks.mean(axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0))
