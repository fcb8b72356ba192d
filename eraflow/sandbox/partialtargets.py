"""What the targets of a live era are while its horizon is running: noisy at first, themselves on the last day.

A target is a ranked return over its horizon. The return so far is taken for a random walk that ends where the target
says: on day d of H it correlates with the final one by sqrt(d / H), and is ranked into the same five bins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from eraflow.sandbox.generate import FIVE_BINS, bins


class RunningTarget:
    """One target of one era, day by day.

    Args:
        final: float[n], the target as it is resolved; NaN where there is none.
        horizon: trading days.
        seed: of the walk; the same seed tells the same days.
    """

    def __init__(self, final: NDArray[np.floating], horizon: int, seed: list[int]) -> None:
        self.final, self.horizon = np.asarray(final, dtype=np.float64), horizon
        rng, n = np.random.default_rng(seed), len(final)
        within = self.final + 1e-3 * rng.random(n)  # rows of one bin lie anywhere in it
        ranks = np.argsort(np.argsort(np.nan_to_num(within, nan=0.5), kind="stable"), kind="stable")
        self._end = np.sqrt(horizon) * ndtri((ranks + 0.5) / n)
        self._walk = np.cumsum(rng.standard_normal((horizon, n)), axis=0)

    def on(self, day: int) -> NDArray[np.float64]:
        """float64[n]: the target as of day 1 to `horizon`; later it stays."""
        if day >= self.horizon:
            return self.final
        share = day / self.horizon
        so_far = share * self._end + self._walk[day - 1] - share * self._walk[-1]
        return np.where(np.isnan(self.final), np.nan, bins(so_far, FIVE_BINS).astype(np.float64))
