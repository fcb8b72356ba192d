"""The groups that features.json divides its features into, among the sets that cut across them."""

from eraflow.data.catalog import Catalog

GROUPS = {"rain": ("a", "b"), "sun": ("c", "d", "e"), "wind": ("f",)}
SELECTIONS = {"small": ("a", "c"), "all": ("a", "b", "c", "d", "e", "f"), "older": ("b", "d", "f")}


def test_groups_are_the_sets_that_have_no_feature_in_common():
    assert Catalog({**SELECTIONS, **GROUPS}, ()).groups == GROUPS
    assert Catalog({**GROUPS, **SELECTIONS, "nothing": ()}, ()).groups == GROUPS
    assert Catalog(GROUPS, ()).groups == GROUPS


def test_without_groups_no_two_sets_that_are_left_have_a_feature_in_common():
    assert Catalog({"small": ("a", "b"), "all": ("a", "b", "c")}, ()).groups == {"small": ("a", "b")}
    assert Catalog({}, ()).groups == {}
