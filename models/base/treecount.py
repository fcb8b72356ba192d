"""How many trees the params of a booster state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TREE_NAMES = ("n_estimators", "num_iterations", "iterations", "num_boost_round", "num_trees")
USUAL_TREES = 2_000


def tree_count(params: Mapping[str, Any]) -> int:
    """As they state; what the kinds have as a rule where they state none."""
    given = [params[name] for name in TREE_NAMES if isinstance(params.get(name), int)]
    return int(given[0]) if given else USUAL_TREES
