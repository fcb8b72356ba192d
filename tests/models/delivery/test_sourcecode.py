"""Exactly what a function reaches is taken, and nothing that it would need where this project is not."""

import sys

import pytest

from models.delivery.livepredictor import make_predict
from models.delivery.partsfolder import THERE, check_imports
from models.delivery.sourcecode import SourceNotExportableError, needed_source, outside_imports

ONE = '''
"""A module."""
from __future__ import annotations
import os, math
import numpy as np
from models.two import LIMIT as most, Table, helper
UNUSED = os.getcwd()
ROUND: dict[str, int] = {"a": most}

def unused() -> Table:
    return helper()

def wanted(x: Table, y: int = ROUND["a"]) -> Table:
    """Says something."""
    found: Table = math.floor(x) + y + np.pi
    return helper(found)
'''
TWO = """
from functools import cached_property
from dataclasses import dataclass
LIMIT = 3
Table = list[int]
@dataclass(frozen=True)
class Point:
    x: Table
    y: int = LIMIT
    @cached_property
    def both(self) -> int:
        return self.x + self.y
def helper(value):
    return Point(value).both
"""


@pytest.fixture
def path_of(tmp_path):
    texts = {"models.one": ONE, "models.two": TWO}

    def place(module):
        path = tmp_path / f"{module}.py"
        if module in texts:
            path.write_text(texts[module])
        return path

    place.texts = texts
    return place


def test_definitions_are_followed_from_module_to_module(path_of):
    two, one = needed_source(["models.one:wanted"], path_of)
    assert (one.name, one.bindings) == (
        "models.one",
        {"most": ("models.two", "LIMIT"), "helper": ("models.two", "helper")},
    )
    assert "UNUSED" not in one.source
    assert "def unused" not in one.source
    assert "import os" not in one.source
    assert "Says something" not in one.source
    assert "Table" not in one.source + two.source
    assert outside_imports([one, two]) == {"math", "numpy", "dataclasses"}


def test_what_is_taken_runs_and_gives_the_same(path_of):
    spaces = {}
    for module in needed_source(["models.one:wanted"], path_of):
        space = {"__name__": "__main__"}
        space.update({name: spaces[other][original] for name, (other, original) in module.bindings.items()})
        exec(module.source, space)
        spaces[module.name] = space
    assert spaces["models.one"]["wanted"](2.5) == pytest.approx(2 + 3 + 3.14159265 + 3)


@pytest.mark.parametrize(
    ("body", "what"),
    [("from models.two import helper", "in a way"), ("import models.two", "in a way"), ("return gone.x", None)],
)
def test_imports_that_cannot_be_followed_are_refused(path_of, body, what):
    path_of.texts["models.one"] = f"def wanted():\n    {body}\n"
    if what is None:
        assert "gone" in needed_source(["models.one:wanted"], path_of)[0].source
        return
    with pytest.raises(SourceNotExportableError, match=what):
        needed_source(["models.one:wanted"], path_of)


def test_a_function_that_is_not_there_is_named(path_of):
    with pytest.raises(SourceNotExportableError, match=r"models\.one has no other"):
        needed_source(["models.one:other"], path_of)


def test_the_shipped_function_needs_only_what_numerai_has():
    place = f"{make_predict.__module__}:{make_predict.__qualname__}"
    found = outside_imports(needed_source([place]))
    assert {"numpy", "pandas", "lightgbm", "xgboost", "catboost"} <= found
    assert found - THERE - sys.stdlib_module_names == set()
    with pytest.raises(SourceNotExportableError, match="polars"):
        check_imports(["polars"])
