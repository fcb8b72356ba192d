"""The graph of features is written, read and drawn: the same picture every time, and what is left out is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from eraflow.reports import graphchart
from eraflow.reports.graphchart import MOST_NODES, graph_chart, laid_out, shown_features
from eraflow.reports.graphfile import FeatureGraph, GraphFileError, read_graph, write_graph


def ring(features):
    """Each feature joined to the next ones, but the last two, which have no neighbour."""
    edges = [(at, at + step) for at in range(features - 2) for step in (1, 2) if at + step < features - 2]
    return FeatureGraph(tuple(f"feature_{at:04d}" for at in range(features)), tuple(edges))


def test_what_is_written_is_read(tmp_path):
    graph = FeatureGraph(("a", "b, c", "d", "e"), ((0, 1), (1, 3)))
    write_graph(tmp_path, graph)
    assert (tmp_path / "graph.csv").read_text().splitlines() == ["feature,neighbour", 'a,"b, c"', '"b, c",e', "d,"]
    found = read_graph(tmp_path)
    assert set(found.features) == set(graph.features)
    names = [{found.features[at] for at in edge} for edge in found.edges]
    assert names == [{"a", "b, c"}, {"b, c", "e"}]
    assert read_graph(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("content", [b"", b"one,two\na,b\n", b"feature,neighbour\na\n", b"\xff\xfe\x00"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "graph.csv").write_bytes(content)
    with pytest.raises(GraphFileError, match=r"graph\.csv cannot be read"):
        read_graph(tmp_path)


@pytest.mark.parametrize("features", [5, 20, 500])
def test_the_picture_is_small_and_the_same_every_time(features):
    graph = ring(features)
    groups = {"intelligence": graph.features[:9], "all of them": graph.features[: features // 2]}
    png = graph_chart(graph, groups, title="Graph")
    assert png == graph_chart(graph, groups, title="Graph")
    assert Image.open(io.BytesIO(png)).format == "PNG"
    assert len(png) < 60_000
    assert graph_chart(graph, {}, title="Graph") != png  # the groups are seen


def test_without_an_edge_it_is_said(monkeypatch):
    said = []
    monkeypatch.setattr(graphchart, "say_empty", lambda axes, text: said.append(text))
    graph_chart(FeatureGraph(("a", "b"), ()), {}, title="Graph")
    assert said == ["no two of 2 features are joined"]


def test_of_many_features_each_group_has_its_share_and_what_is_left_out_is_told(monkeypatch):
    told = []
    monkeypatch.setattr(graphchart, "_told", lambda *args: told.append(_told(*args)) or told[-1])
    graph = ring(3_555)
    group_of = ["large"] * 3_000 + ["small"] * 555
    shown = shown_features(graph, group_of)
    assert len(shown) == len(set(shown)) <= MOST_NODES
    counts = {name: sum(group_of[at] == name for at in shown) for name in ("large", "small")}
    assert counts["large"] / len(shown) == pytest.approx(3_000 / 3_553, abs=0.02)
    drawn = set(shown)
    assert sum(a in drawn and b in drawn for a, b in graph.edges) > len(drawn)  # they hang together
    graph_chart(graph, {"large": graph.features[:3_000]}, title="Graph")
    assert told[0].startswith(f"{len(shown)} of 3,555 features and ")
    assert told[0].endswith(" of 7,103 edges are drawn; 2 features have no neighbour")


_told = graphchart._told


def test_features_without_neighbours_are_not_drawn():
    assert shown_features(ring(10), [""] * 10) == list(range(8))


def test_joined_features_lie_close_to_each_other():
    """Two parts that no edge joins: each is nearer to its own than to the other, and all are apart."""
    edges = np.array([(a, b) for part in (range(5), range(5, 10)) for a in part for b in part if a < b])
    points = laid_out(10, edges)
    assert np.isfinite(points).all()
    apart = np.sqrt(np.square(points[:, None] - points[None]).sum(axis=2))
    same = np.equal.outer(np.arange(10) < 5, np.arange(10) < 5)
    assert apart[same & ~np.eye(10, dtype=bool)].max() < apart[~same].min()
    assert apart[~np.eye(10, dtype=bool)].min() > 0.05
