"""How many trees the params of a booster state."""

from eraflow.settings.models import ModelSettings
from models.base.treecount import TREE_NAMES, tree_count


def test_the_trees_of_a_model_are_found_under_any_of_its_names():
    assert [tree_count({name: 7}) for name in TREE_NAMES] == [7] * len(TREE_NAMES)
    assert tree_count(ModelSettings(kind="lightgbm").params) == 2_000
