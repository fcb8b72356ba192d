"""A LightGBM model as arrays for `models.delivery.treearrays`, where its trees can be computed in that way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.delivery.treearrays import HIGHEST_LEVEL

MOST_DEPTH = 10
"""A table of leaves has 2 to the power of it entries."""
AS_THEY_ARE = {"regression", "regression_l1", "huber", "fair", "quantile", "mape"}
"""Objectives whose predictions are the sums of the leaves."""
CATEGORICAL, ZERO_IS_MISSING = 1, 4
"""Bits of a split's `decision_type`."""


class _Unsuitable(Exception):
    """The trees are of another form; the library itself predicts then."""


@dataclass(frozen=True)
class _Node:
    feature: int
    level: int
    parent: int
    right: bool
    tree: int


def tree_arrays(text: str) -> dict[str, Any] | None:
    """The trees of a model's text; None where it has categories, missing values, linear leaves or deep trees.

    Returns:
        features: int64[u], the columns that are used; values: float64[trees, 2**depth], the leaf of each path; depths:
        for each depth `tree`, `feature` (position in `features`), `level` (1 to 4: from there a row goes right),
        `parent` (position among the nodes one depth above) and `right`, whether it lies to the right of that.
    """
    head, *sections = re.split(r"(?m)^Tree=\d+$", text.partition("\nend of trees")[0])
    try:
        if "\naverage_output" in head or _field(head, "objective") not in AS_THEY_ARE:
            return None
        return _arrays([_fields(section) for section in sections])
    except _Unsuitable:
        return None


def _field(text: str, name: str) -> str:
    found = re.search(rf"(?m)^{name}=(.*)$", text)
    return found[1].strip() if found else ""


def _fields(section: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in section.splitlines() if "=" in line)


def _arrays(trees: list[dict[str, str]]) -> dict[str, Any] | None:
    depths: list[list[_Node]] = []
    found = [_paths(tree, number, depths) for number, tree in enumerate(trees)]
    if not trees or not depths:
        return None
    values = np.zeros((len(trees), 1 << len(depths)))
    for number, leaves in enumerate(found):
        for path, depth, value in leaves:
            values[number, path :: 1 << depth] = value  # whatever deeper bits say
    used = sorted({node.feature for nodes in depths for node in nodes})
    place = {feature: at for at, feature in enumerate(used)}
    return {
        "features": np.array(used, dtype=np.int64),
        "values": values,
        "depths": [
            {
                "tree": np.array([node.tree for node in nodes], dtype=np.int64),
                "feature": np.array([place[node.feature] for node in nodes], dtype=np.int64),
                "level": np.array([node.level for node in nodes], dtype=np.int64),
                "parent": np.array([node.parent for node in nodes], dtype=np.int64),
                "right": np.array([node.right for node in nodes], dtype=bool),
            }
            for nodes in depths
        ],
    }


def _paths(tree: dict[str, str], number: int, depths: list[list[_Node]]) -> list[tuple[int, int, float]]:
    """Put the nodes of a tree into the lists of their depths; gives path, depth and value of each leaf.

    Raises:
        _Unsuitable: it has a split that is none of the four of a feature, or is too deep.
    """
    values = [float(value) for value in tree["leaf_value"].split()]
    if tree.get("is_linear", "0") != "0" or tree.get("num_cat", "0") != "0":
        raise _Unsuitable
    if tree["num_leaves"] == "1":
        return [(0, 0, values[0])]
    feature, left, right = ([int(one) for one in tree[name].split()] for name in CHILDREN)
    decision = [int(one) for one in tree["decision_type"].split()]
    level = [int(np.floor(float(one))) + 1 for one in tree["threshold"].split()]
    leaves: list[tuple[int, int, float]] = []
    waiting = [(0, 0, 0, -1, False)]
    while waiting:
        node, depth, path, parent, side = waiting.pop(0)
        if node < 0:
            leaves.append((path, depth, values[~node]))
            continue
        unsuitable = decision[node] & (CATEGORICAL | ZERO_IS_MISSING) or not 1 <= level[node] <= HIGHEST_LEVEL
        if unsuitable or depth >= MOST_DEPTH:
            raise _Unsuitable
        if depth == len(depths):
            depths.append([])
        depths[depth].append(_Node(feature[node], level[node], parent, side, number))
        own = len(depths[depth]) - 1
        waiting.append((left[node], depth + 1, path, own, False))
        waiting.append((right[node], depth + 1, path | 1 << depth, own, True))
    return leaves


CHILDREN = ("split_feature", "left_child", "right_child")
