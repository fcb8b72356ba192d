"""Ranks within eras, as a bag averages them; what an uploaded model takes along."""

from __future__ import annotations

import numpy as np

from eraflow.scoring.ranking import EraGroups, order_within_eras
from models.base.protocol import FloatArray


def ranks_within_eras(values: FloatArray, groups: EraGroups) -> FloatArray:
    """float64[n], above 0 and below 1: (average rank - 0.5) / rows of the era, ties kept, in the order of the rows."""
    order = order_within_eras(values, groups)
    ranks = np.empty(len(values))
    ranks[order.rows] = (order.ranks() - 0.5) / np.repeat(groups.sizes, groups.sizes)
    return ranks
