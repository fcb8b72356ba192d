"""The mathematics of the blend: members become one prediction, and features are taken out of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eraflow.errors import EraflowError
from eraflow.machine.failures import StageNaN
from eraflow.scoring.neutralise import Progress, neutralise_by_era
from eraflow.scoring.ranking import EraGroups, ScoreInputError, order_within_eras
from models.base.protocol import Codes, FloatArray

CodesOf = Callable[[int], Codes]
"""int8[rows of the era, f] by the position of the era."""


class NothingLeftError(EraflowError):
    """Features explain the blend of an era completely, so that nothing is left of it. Neutralise less of it."""

    code = "nothing_left"


def rank_gaussian_blend(members: FloatArray, groups: EraGroups, weights: FloatArray | None = None) -> FloatArray:
    """The weighted mean of the members after each was ranked (ties kept) and made gaussian within each era.

    Only the order of a member's predictions within an era counts, so the scale of a member does not weigh. In an
    era where a member is constant it says nothing (all its rows become 0).

    Args:
        members: float64[n, k], one column for each member; or float64[n] for a single one.
        groups: the eras of the n rows.
        weights: float64[k], or float64[n_eras, k] for weights of each era; none negative and not all 0 in an era; None:
            equal. Only their proportions count.

    Returns:
        float64[n], around 0; larger is better. Within one era a single member's order is kept exactly.

    Raises:
        StageNaN: a prediction is NaN or infinite.
        ScoreInputError: the number of rows is not that of the groups, there are no members, or the weights do not fit.
    """
    columns = members[:, None] if members.ndim == 1 else members
    if columns.ndim != 2 or len(columns) != groups.n_rows or columns.shape[1] == 0:
        raise ScoreInputError(f"members are {list(members.shape)} for {groups.n_rows} rows", "pass float64[n, k]")
    shares = _shares(weights, columns.shape[1], groups)
    spoilt = [place for place, column in enumerate(columns.T) if not np.isfinite(column).all()]
    if spoilt:
        raise StageNaN(
            f"member {spoilt[0]} of the blend has predictions that are NaN or infinite",
            "train that member again",
        )
    total = np.zeros(groups.n_rows)
    for column, share in zip(columns.T, shares.T, strict=True):
        order = order_within_eras(np.ascontiguousarray(column, dtype=np.float64), groups)
        total[order.rows] += (share if shares.ndim == 1 else groups.spread(share)) * order.gaussian()
    together = shares.sum(axis=-1)
    total /= together if shares.ndim == 1 else groups.spread(together)
    return total


def _shares(weights: FloatArray | None, count: int, groups: EraGroups) -> FloatArray:
    """float64[k] or [n_eras, k]: the weights as parts of the largest. Equal ones are exactly 1, so that their mean is
    the plain mean to the last bit, whatever 1/k rounds to.
    """
    if weights is None:
        return np.ones(count)
    most = weights.max(axis=-1, keepdims=True, initial=0.0)
    fits = weights.shape in ((count,), (groups.n_eras, count))
    if not fits or not (weights >= 0).all() or not ((most > 0) & (most < np.inf)).all():
        raise ScoreInputError(f"the weights of {count} members are {weights.tolist()}", "pass one for each, none < 0")
    shares: FloatArray = weights / most
    return shares


def neutralised_blend(
    blend: FloatArray, groups: EraGroups, codes_of: CodesOf, proportion: float, progress: Progress | None = None
) -> FloatArray:
    """The blend less a proportion of what features explain of it, era by era; what is judged and what is sent.

    Args:
        blend: float64[n] from `rank_gaussian_blend`.
        groups: the eras of the rows.
        codes_of: the codes to neutralise to; asked for one era at a time, in their order.
        proportion: 0 to 1; at 0 the blend is returned as it is.
        progress: told (eras done, eras).

    Returns:
        float64[n]; an era in which the blend is constant keeps it.

    Raises:
        NothingLeftError: an era has no more rows than features and the proportion is 1.
        ScoreInputError: the codes of an era have not its rows.
    """
    result = neutralise_by_era(blend, codes_of, groups, proportion, progress)
    gone = np.flatnonzero(groups.constant(result) & ~groups.constant(blend))
    if gone.size:
        raise NothingLeftError(
            f"the features explain the blend completely in {gone.size} of {groups.n_eras} eras, such as one of "
            f"{groups.sizes[gone[0]]} rows",
            "lower blend.neutralise, or name a smaller set in blend.neutralise_features",
        )
    return result
