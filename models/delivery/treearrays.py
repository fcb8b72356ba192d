"""Trees over five levels, all rows at once: sets of rows as bits, in NumPy alone.

A split of a feature with five levels is one of four: level 1 and above, 2 and above, and so on. Each of these sets of
rows is packed once, eight rows a byte. A node's rows are then those of its parent and a set, 64 an operation; which
way a row went at each depth is one bit of a number, and that number finds the row's leaf in a table. Leaves are added
up tree by tree in float64, as LightGBM does: the sums are the same to the last bit.

Like `models.delivery.livepredictor` it runs where this project is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.base.protocol import Codes, FloatArray
from models.base.rows import tiles

HIGHEST_LEVEL = 4
TREES_AT_ONCE = 32
"""Their sets of rows stay in a processor's cache."""
ROWS_AT_ONCE = 8192
Bits = npt.NDArray[np.uint64]


def tree_predictions(trees: Mapping[str, Any], codes: Codes) -> FloatArray:
    """float64[n]: the sum of the leaves that each row comes to.

    Args:
        trees: from `models.delivery.lightgbmtrees.tree_arrays`.
        codes: int8[n, f], levels 0 to 4.
    """
    result = np.zeros(len(codes))
    for rows in tiles(len(codes), ROWS_AT_ONCE):
        sets = level_sets(codes[rows][:, trees["features"]])
        for first in range(0, len(trees["values"]), TREES_AT_ONCE):
            _add(trees, sets, first, result[rows])
    return result


def level_sets(codes: Codes) -> Bits:
    """uint64[f, 4, words]: the rows in which each feature is at least 1, 2, 3 and 4; rows are filled up with zeros."""
    words = -(-len(codes) // 64)
    padded = np.zeros((codes.shape[1], 64 * words), dtype=np.int8)
    padded[:, : len(codes)] = codes.T
    sets = [np.packbits(padded >= level, axis=1, bitorder="little") for level in range(1, HIGHEST_LEVEL + 1)]
    return np.ascontiguousarray(np.stack(sets, axis=1)).view(np.uint64)


def _add(trees: Mapping[str, Any], sets: Bits, first: int, total: FloatArray) -> None:
    """Add some trees, one after the other, to float64[n]."""
    last = min(first + TREES_AT_ONCE, len(trees["values"]))
    paths = _paths(trees, sets, first, last)[:, : len(total)]
    for tree in range(first, last):
        total += np.take(trees["values"][tree], paths[tree - first])


def _paths(trees: Mapping[str, Any], sets: Bits, first: int, last: int) -> npt.NDArray[np.integer[Any]]:
    """uint8 or uint16[trees, rows]: bit d is whether the row went right at depth d."""
    words, depths = sets.shape[2], trees["depths"]
    kind: Any = np.uint8 if len(depths) <= 8 else np.uint16
    paths = np.zeros((last - first, 64 * words), dtype=kind)
    reached, went, begin = np.zeros((0, words), np.uint64), np.zeros((0, words), np.uint64), 0
    for depth, nodes in enumerate(depths):
        start, stop = np.searchsorted(nodes["tree"], [first, last])
        if start == stop:
            break
        if depth == 0:
            reached = np.full((stop - start, words), ~np.uint64(0))
        else:
            above = nodes["parent"][start:stop] - begin
            reached = np.where(nodes["right"][start:stop, None], went[above], reached[above] & ~went[above])
        went = reached & sets[nodes["feature"][start:stop], nodes["level"][start:stop] - 1]
        _mark(paths, nodes["tree"][start:stop] - first, went, kind(1 << depth))
        begin = start
    return paths


def _mark(paths: npt.NDArray[Any], tree: npt.NDArray[np.int64], went: Bits, bit: np.integer[Any]) -> None:
    """Set a bit of the paths where any node of the tree sent the row to the right."""
    starts = np.flatnonzero(np.diff(tree, prepend=-1))
    right = np.bitwise_or.reduceat(went, starts, axis=0)
    paths[tree[starts]] |= np.unpackbits(right.view(np.uint8), axis=1, bitorder="little").astype(paths.dtype) * bit
