"""Feature sets and groups of features.json, and what is no such file."""

from __future__ import annotations

import pytest

from eraflow.data.catalog import Catalog, CatalogError, UnknownFeatureSetError, read_catalog
from eraflow.data.readable import MissingFileError
from tests.eraflow.data.contracts import contract_of
from tests.tournament_files import write_tournament

GROUPS = {"rain": ("a", "b"), "sun": ("c", "d", "e"), "wind": ("f",)}
SELECTIONS = {"small": ("a", "c"), "all": ("a", "b", "c", "d", "e", "f"), "older": ("b", "d", "f")}


def test_groups_are_the_sets_that_have_no_feature_in_common():
    assert Catalog({**SELECTIONS, **GROUPS}, ()).groups == GROUPS
    assert Catalog({**GROUPS, **SELECTIONS, "nothing": ()}, ()).groups == GROUPS
    assert Catalog(GROUPS, ()).groups == GROUPS


def test_without_groups_no_two_sets_that_are_left_have_a_feature_in_common():
    assert Catalog({"small": ("a", "b"), "all": ("a", "b", "c")}, ()).groups == {"small": ("a", "b")}
    assert Catalog({}, ()).groups == {}


def test_unknown_feature_set_lists_those_there_are(tmp_path):
    with pytest.raises(UnknownFeatureSetError, match="small, medium, all"):
        contract_of(write_tournament(tmp_path), features="large")


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"feature_sets": {"all": "x"}}', '{"feature_sets": {"all": ["a", "a"]}}', "\x00"]
)
def test_catalogs_of_another_layout(tmp_path, content):
    path = tmp_path / "features.json"
    path.write_text(content)
    with pytest.raises(CatalogError):
        read_catalog(path)
    with pytest.raises(MissingFileError):
        read_catalog(tmp_path / "absent.json")
