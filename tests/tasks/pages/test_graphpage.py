"""The page of a graph: the picture lies beside what it shows, and a damaged file costs the page alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from eraflow.reports.graphfile import FeatureGraph, write_graph
from tasks.pages import graphpage


@pytest.fixture
def pages(monkeypatch):
    """What is shown: key -> text."""
    made = {}
    monkeypatch.setattr(graphpage, "create_markdown_artifact", lambda text, key, description: made.update({key: text}))
    monkeypatch.setattr(graphpage, "shown", lambda create: create())
    return made


def test_the_picture_is_on_the_page_and_in_the_folder(tmp_path, pages):
    write_graph(tmp_path, FeatureGraph(("a", "b", "c"), ((0, 1),)))
    graphpage.show_graph("gatv2-ender60", SimpleNamespace(path=tmp_path), {"intelligence": ("a", "c")})
    assert pages["graph-gatv2-ender60"].startswith("![Graph of gatv2-ender60](data:image/png;base64,")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("content", [None, "not a graph"])
def test_a_member_without_a_graph_and_damage_have_no_page(tmp_path, pages, content, caplog):
    if content is not None:
        (tmp_path / "graph.csv").write_text(content)
    graphpage.show_graph("mlp", SimpleNamespace(path=tmp_path), {})
    assert pages == {}
    assert ("cannot be drawn" in caplog.text) == (content is not None)
