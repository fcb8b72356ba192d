"""The mathematics of the blend."""

from __future__ import annotations

import numpy as np

from eraflow.machine.failures import StageNaN
from eraflow.tournament.ranking import EraGroups, ScoreInputError, order_within_eras
from models.protocol import FloatArray


def rank_gaussian_blend(members: FloatArray, groups: EraGroups) -> FloatArray:
    """The mean of the members after each was ranked (ties kept) and made gaussian within each era.

    Only the order of a member's predictions within an era counts, so members on different scales weigh the same. In an
    era where a member is constant it says nothing (all its rows become 0).

    Args:
        members: float64[n, k], one column for each member; or float64[n] for a single one.
        groups: the eras of the n rows.

    Returns:
        float64[n], around 0; larger is better. Within one era a single member's order is kept exactly.

    Raises:
        StageNaN: a prediction is NaN or infinite.
        ScoreInputError: the number of rows is not that of the groups, or there are no members.
    """
    columns = members[:, None] if members.ndim == 1 else members
    if columns.ndim != 2 or len(columns) != groups.n_rows or columns.shape[1] == 0:
        raise ScoreInputError(f"members are {list(members.shape)} for {groups.n_rows} rows", "pass float64[n, k]")
    finite = np.isfinite(columns).all(axis=0)
    if not finite.all():
        raise StageNaN(f"member {int(np.argmin(finite))} of the blend has NaN predictions", "train that member again")
    total = np.zeros(groups.n_rows)
    for column in columns.T:
        order = order_within_eras(np.ascontiguousarray(column, dtype=np.float64), groups)
        total[order.rows] += order.gaussian()
    total /= columns.shape[1]
    return total
