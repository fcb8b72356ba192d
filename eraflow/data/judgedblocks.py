"""Where the blocks of judged eras begin and end: on a grid of weeks that stays as it is when another week comes.

    0001 ... | first judged ...... | ............. | ............. | ...... newest
             ^ borders: multiples of the width, counted from era 0001

A border that hung on the number of eras there are would move with every new one, and every window would have to be
trained anew each week. On this grid a week changes the newest block alone, which is half as long as the others to half
as long again. When a new one begins, the oldest falls off, so there are always as many. The width is a round number
and grows with the eras in steps of an eighth to a sixteenth: at a thousand eras about every other year.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

LEAST_WIDTH = 2
"""Weeks; with shorter blocks the grid would cost more judged eras than it is worth."""
ROUND_WIDTHS = 8
"""Round widths between a power of two and the next."""


def even_edges(count: int, first: int, folds: int) -> list[int]:
    """folds + 1 positions from `first` to `count`, ascending, which cut what lies between them evenly."""
    return [first + (count - first) * fold // folds for fold in range(folds + 1)]


def fixed_edges(weeks: Sequence[int], first: int, folds: int) -> list[int]:
    """Positions in `weeks` where the blocks begin on the grid, and the end.

    The first block begins at weeks[first] or up to about a block later. Where that many blocks do not fit on the
    grid, because there are few eras or many are missing, the borders are even, and move with each era.

    Args:
        weeks: numbers of the eras, ascending.
        first: position from which on eras may be judged; at least `folds` are left.
        folds: how many blocks.

    Returns:
        folds + 1 positions, ascending; no block is empty.
    """
    even = even_edges(len(weeks), first, folds)
    if folds < 2:  # one block begins where it may: there are no borders to keep
        return even
    width = _round_width(int((weeks[-1] - weeks[first] + 1) / (folds + 0.5)))
    if width < LEAST_WIDTH:
        return even
    newest, known = divmod(weeks[-1] - 1, width)
    if 2 * (known + 1) < width:
        newest -= 1
    starts = [(newest - back) * width + 1 for back in reversed(range(folds))]
    edges = [sum(week < start for week in weeks) for start in starts] + [len(weeks)]
    fits = edges[0] >= first and all(start < stop for start, stop in pairwise(edges))
    return edges if fits else even


def _round_width(width: int) -> int:
    """The largest round width that is not larger; below 2 x ROUND_WIDTHS every whole number is round."""
    step = max(1, (1 << max(width.bit_length() - 1, 0)) // ROUND_WIDTHS)
    return width // step * step
