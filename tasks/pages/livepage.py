"""The live scores of a slot in the Prefect UI: the curve with the band of the promise, and the table of the rounds."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from eraflow.livescores.livetext import live_text
from eraflow.livescores.table import LiveLine
from eraflow.livescores.watch import LiveStanding
from tasks.pages.artifacts import shown


def show_live(slot: str, lines: Sequence[LiveLine], years: Sequence[LiveStanding]) -> None:
    """The page of a slot; nothing where nothing is scored yet."""
    if not lines:
        return
    text = live_text(slot, lines, years)
    shown(lambda: create_markdown_artifact(text, key="live-scores", description=f"What {slot} has scored so far"))
