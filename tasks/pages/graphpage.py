"""The graph that a member learns over, as people see it in the Prefect UI."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from eraflow.disk.atomic import write_bytes
from eraflow.reports.graphchart import PICTURE, graph_chart
from eraflow.reports.graphfile import read_graph
from eraflow.reports.markdown import png_markdown
from eraflow.runs.stage import StageRecord
from tasks.pages.artifacts import artifact_key, shown

log = logging.getLogger(__name__)


def show_graph(model: str, record: StageRecord, groups: Mapping[str, Sequence[str]]) -> None:
    """The picture of the live model's graph, on the page and as `graph.png`; nothing where a member has none.

    Args:
        model: the member's name.
        record: of its training stage, which is finished.
        groups: name -> features, for the colours.
    """
    picture = draw_graph(model, record.path, groups)
    if picture is None:
        return
    text = (
        f"{png_markdown(picture, f'Graph of {model}')}\n\n"
        "The graph of the model for live: a point is a feature, and a line joins two whose values go together in the "
        "rows that it learnt from (or, where the controls are asked for, two drawn by chance). All edges are in the "
        f"stage's `graph.csv`: `{record.path}`."
    )
    key = artifact_key("graph", model)
    shown(lambda: create_markdown_artifact(text, key=key, description=f"Graph of features, {model}"))


def draw_graph(model: str, folder: Path, groups: Mapping[str, Sequence[str]]) -> bytes | None:
    """The picture, which is written beside what it shows; a failure is logged and costs nothing."""
    try:
        graph = read_graph(folder)
        if graph is None:
            return None
        picture = graph_chart(graph, groups, title=f"Graph of {model}")
        write_bytes(folder / PICTURE, picture)
    except Exception as error:  # noqa: BLE001 - people look at it, nothing is built on it
        log.warning("the graph of %s cannot be drawn: %s: %s", model, type(error).__name__, error)
        return None
    return picture
