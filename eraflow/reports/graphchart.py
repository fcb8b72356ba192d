"""The picture of a graph of features: who is joined to whom, coloured by group, laid out the same way every time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.reports.figures import GREY, INK, PALETTE, beside, new_figure, png_bytes, say_empty
from eraflow.reports.graphfile import FeatureGraph

PICTURE = "graph.png"
MOST_NODES = 150
"""More cannot be told apart on a picture of this size."""
MOST_NAMED = 40
LONGEST_NAME = 18
HEIGHT_INCHES = 7.0
MARKERS = ("o", "s", "^", "D", "v", "P")
"""A second round through the palette has another shape."""
OTHERS = "others"
STEPS = 300
GRAVITY = 0.6
"""Parts that no edge joins would drift out of the picture without it."""

Points = npt.NDArray[np.float64]


def graph_chart(graph: FeatureGraph, groups: Mapping[str, Sequence[str]], *, title: str) -> bytes:
    """Features as points, edges as lines; below it is said what is left out.

    Args:
        graph: the features and their edges.
        groups: name -> features. Of several groups a feature counts for the first; those of none are one of their own.
        title: above the chart.

    Returns:
        A PNG picture.
    """
    figure, axes = new_figure(title, "", "")
    figure.set_size_inches(figure.get_figwidth(), HEIGHT_INCHES)
    if not graph.edges:
        say_empty(axes, f"no two of {len(graph.features):,} features are joined")
        return png_bytes(figure)
    group_of = _group_of(graph.features, groups)
    drawn = shown_features(graph, group_of)
    place = {feature: at for at, feature in enumerate(drawn)}
    edges = np.array([(place[a], place[b]) for a, b in graph.edges if a in place and b in place]).reshape(-1, 2)
    points = laid_out(len(drawn), edges)
    _draw_edges(axes, points, edges)
    handles = _draw_nodes(axes, points, [group_of[feature] for feature in drawn])
    if len(drawn) <= MOST_NAMED:
        _write_names(axes, points, [graph.features[feature] for feature in drawn])
    axes.set_axis_off()
    figure.supxlabel(_told(graph, len(drawn), len(edges)), fontsize=9, color=GREY)
    counts = {name: group_of.count(name) for name in handles}
    beside(axes, list(handles.values()), [f"{_cut(name)}, {counts[name]:,}" for name in handles])
    return png_bytes(figure)


def shown_features(graph: FeatureGraph, group_of: Sequence[str]) -> list[int]:
    """Positions of the features that are drawn, ascending: all that have neighbours, or MOST_NODES of them.

    Of more, each group has its share: the feature with the most neighbours, those around it, and so on, so that what is
    drawn hangs together.

    Args:
        graph: the features and their edges.
        group_of: the group of each feature.
    """
    neighbours: dict[int, list[int]] = {}
    for one, other in graph.edges:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    if len(neighbours) <= MOST_NODES:
        return sorted(neighbours)
    members: dict[str, list[int]] = {}
    for feature in sorted(neighbours):
        members.setdefault(group_of[feature], []).append(feature)
    found: list[int] = []
    for mine in members.values():
        found += _around_the_best(mine, neighbours, max(1, MOST_NODES * len(mine) // len(neighbours)))
    return sorted(found[:MOST_NODES])


def _around_the_best(members: Sequence[int], neighbours: Mapping[int, list[int]], count: int) -> list[int]:
    """So many of a group's features, breadth first from those with the most neighbours."""
    left = set(members)
    waiting = deque(sorted(members, key=lambda feature: (-len(neighbours[feature]), feature)))
    found: list[int] = []
    while waiting and len(found) < count:
        feature = waiting.popleft()
        if feature in left:
            left.remove(feature)
            found.append(feature)
            waiting.extendleft(reversed([other for other in neighbours[feature] if other in left]))
    return found


def laid_out(nodes: int, edges: npt.NDArray[np.int64]) -> Points:
    """float64[nodes, 2]: points that push each other away, with edges that pull (Fruchterman and Reingold, 1991).

    They begin on a circle, in order, so that nothing is drawn by chance.

    Args:
        nodes: how many.
        edges: int64[e, 2].
    """
    angle = 2 * np.pi * np.arange(nodes) / nodes
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    usual = 2.0 / np.sqrt(nodes)  # the distance at which push and pull are equal
    for step in range(STEPS):
        apart = points[:, None] - points[None]
        distance = np.maximum(np.sqrt(np.square(apart).sum(axis=2)), 0.01 * usual)
        force = (apart * (usual / distance)[:, :, None] ** 3).sum(axis=1) - GRAVITY * points
        along = points[edges[:, 0]] - points[edges[:, 1]]
        pull = along * np.sqrt(np.square(along).sum(axis=1))[:, None] / usual
        np.add.at(force, edges[:, 0], -pull)
        np.add.at(force, edges[:, 1], pull)
        length = np.maximum(np.sqrt(np.square(force).sum(axis=1)), 1e-12)
        points += force * (np.minimum(length, 0.1 * (1 - step / STEPS)) / length)[:, None]
    return points


def _group_of(features: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    named: dict[str, str] = {}
    for name, members in groups.items():
        for feature in members:
            named.setdefault(feature, name)
    return [named.get(feature, OTHERS) for feature in features]


def _draw_edges(axes: Any, points: Points, edges: npt.NDArray[np.int64]) -> None:
    from matplotlib.collections import LineCollection

    axes.add_collection(LineCollection(list(points[edges]), colors=GREY, linewidths=0.6, alpha=0.6, zorder=1))


def _draw_nodes(axes: Any, points: Points, groups: Sequence[str]) -> dict[str, Any]:
    """The handles of the legend."""
    handles = {}
    for number, name in enumerate(dict.fromkeys(sorted(groups, key=lambda name: (name == OTHERS, name)))):
        mine = points[[group == name for group in groups]]
        handles[name] = axes.scatter(
            *mine.T,
            s=34,
            color=PALETTE[number % len(PALETTE)],
            marker=MARKERS[number // len(PALETTE) % len(MARKERS)],
            edgecolors="white",
            linewidths=0.5,
            zorder=2,
        )
    return handles


def _write_names(axes: Any, points: Points, names: Sequence[str]) -> None:
    for point, name in zip(points, names, strict=True):
        axes.annotate(
            _cut(name.removeprefix("feature_")),
            point,
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
            color=INK,
            parse_math=False,
        )


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _told(graph: FeatureGraph, nodes: int, edges: int) -> str:
    alone = len(graph.features) - len({at for edge in graph.edges for at in edge})
    text = f"{nodes:,} of {len(graph.features):,} features and {edges:,} of {len(graph.edges):,} edges are drawn"
    return f"{text}; {alone:,} features have no neighbour" if alone else text
