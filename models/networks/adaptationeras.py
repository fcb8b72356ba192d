"""Which eras a base learns from, which its adapters learn from, and which judge the one against the other.

    0001 ........ anchor | . . . . . . . . | purge | judged ..... newest
    <--- the base ----->      <- adapters ->       <- neither ->

A base ends at an anchor: a week of a grid that hangs on the numbers of the eras alone. So every window, and every week,
until the grid has moved on, means the very same base.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_SHARE = 0.5
"""Of the eras that may be learnt from, so many lie before the anchor, and of all eras so many may be learnt from."""

Weeks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AdaptationEras:
    """The numbers of the eras, ascending.

    Attributes:
        base: what the base learns from.
        adapters: what the adapters learn from, none of them later than the purge before the judged ones; the base may
            know some of them.
        judged: by which the adapted base is compared with the unadapted one. Neither has learnt from them, nor from
            the purge before them. None: there are too few eras, and then there are no adapters either.
    """

    base: Weeks
    adapters: Weeks
    judged: Weeks


def divide(weeks: Weeks, purge_weeks: int, *, base_eras: int, adapt_eras: int, judge_eras: int) -> AdaptationEras:
    """Divide what a fit may learn from; an era is a week, so the lengths count weeks also where eras are left out.

    Args:
        weeks: int64[k], numbers of the eras with a known target, ascending.
        purge_weeks: how far the labels reach.
        base_eras: weeks from an anchor to the next at the most. Where less than half of what may be learnt from would
            lie before an anchor, the grid is halved until that much does.
        adapt_eras: weeks that the adapters learn from, the newest that are left.
        judge_eras: the newest weeks, which are kept back.
    """
    judged = weeks[weeks > weeks[-1] - judge_eras]
    free = weeks[weeks + purge_weeks < judged[0]]
    if len(free) < LEAST_SHARE * len(weeks):
        none = weeks[:0]
        return AdaptationEras(_before_anchor(weeks, base_eras), none, none)
    return AdaptationEras(_before_anchor(free, base_eras), free[free > free[-1] - adapt_eras], judged)


def _before_anchor(weeks: Weeks, base_eras: int) -> Weeks:
    """Those up to the last week of the grid that leaves enough of them."""
    step = base_eras
    while True:
        found = weeks[weeks <= int(weeks[-1]) // step * step]
        if len(found) >= LEAST_SHARE * len(weeks):
            return found
        step = max(1, step // 2)
