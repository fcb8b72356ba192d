"""The graph that a member's network learns over: `graph.csv`, a line for every edge, each pair of features once.

    feature,neighbour
    feature_a,feature_c
    feature_b,

A feature without neighbours has a line of its own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eraflow.disk.atomic import write_text
from eraflow.errors import EraflowError

GRAPH = "graph.csv"
HEADER = ("feature", "neighbour")


class GraphFileError(EraflowError):
    """A graph.csv cannot be read. Train the member anew with a fresh run to have it again."""

    code = "graph_file"


@dataclass(frozen=True)
class FeatureGraph:
    """A graph of features.

    Attributes:
        features: all of them, in order.
        edges: pairs of positions in `features`, the smaller first, ascending.
    """

    features: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]


def write_graph(folder: Path, graph: FeatureGraph) -> None:
    """Write the file of a stage.

    Raises:
        StorageError: it cannot be written.
    """
    joined = {at for edge in graph.edges for at in edge}
    alone = [(at, -1) for at in range(len(graph.features)) if at not in joined]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for one, other in sorted([*graph.edges, *alone]):
        writer.writerow((graph.features[one], "" if other < 0 else graph.features[other]))
    write_text(folder / GRAPH, text.getvalue())


def read_graph(folder: Path) -> FeatureGraph | None:
    """The graph of a stage; None where it has none.

    The features are in the order in which the file names them.

    Raises:
        GraphFileError: the file is there and cannot be read.
    """
    path = folder / GRAPH
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, str(error)) from error
    if not rows or tuple(rows[0]) != HEADER or any(len(row) != len(HEADER) for row in rows):
        raise _unreadable(path, f"it is no table of {' and '.join(HEADER)}")
    return _of_rows(rows[1:])


def _of_rows(rows: Sequence[Sequence[str]]) -> FeatureGraph:
    place = {name: at for at, name in enumerate(dict.fromkeys(name for row in rows for name in row if name))}
    edges = {(min(pair), max(pair)) for one, other in rows if other for pair in [(place[one], place[other])]}
    return FeatureGraph(tuple(place), tuple(sorted(edges)))


def _unreadable(path: Path, why: str) -> GraphFileError:
    return GraphFileError(f"{path} cannot be read: {why}", "train the member anew with a fresh run to have it again")
