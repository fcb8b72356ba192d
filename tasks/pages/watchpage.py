"""What the watch saw of a stage, as people see it in the Prefect UI: memory against its budget, peaks, training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact

from eraflow.disk.atomic import write_bytes
from eraflow.machine.recorder import read_watch
from eraflow.machine.training import read_training
from eraflow.reports.charts import memory_chart, training_chart
from eraflow.reports.learningcurve import CURVES, learning_chart, read_curves
from eraflow.reports.markdown import markdown_table, png_markdown
from tasks.pages.artifacts import Place, artifact_key, shown

log = logging.getLogger(__name__)

LEAST_SECONDS = 5.0
"""A stage that is over sooner has nothing to show; failures and the learning of networks are always shown."""
CHANNELS = {
    "memory_mb": "peak memory, MiB",
    "vram_mb": "peak GPU memory, MiB",
    "disk_free_mb": "least free disk, MiB",
    "temperature_c": "hottest, °C",
}


def show_watch(stage: str, folder: Path) -> None:
    """One version of the markdown artifact `watch-<stage>`; a failure to show it is logged and costs nothing."""
    attempts = read_watch(folder)
    learning = draw_curves(stage, folder)
    told = learning is not None or (attempts and attempts[-1]["outcome"] != "ok")
    if attempts and (told or attempts[-1]["seconds"] >= LEAST_SECONDS):
        shown(
            lambda: create_markdown_artifact(
                watch_page(stage, attempts, read_training(folder), learning),
                key=artifact_key("watch", stage),
                description=f"Memory of {stage}",
            ),
            Place.DETAIL,
        )


def draw_curves(stage: str, folder: Path) -> bytes | None:
    """The learning curves of a stage's networks, which go into its `curves.png` too; None where there are none.

    A failure is logged and costs nothing.
    """
    try:
        curves = read_curves(folder)
        if not curves:
            return None
        picture = learning_chart(curves, title=f"Learning of {stage}")
        write_bytes(folder / CURVES, picture)
    except Exception as error:  # noqa: BLE001 - people look at it, nothing is built on it
        log.warning("the learning curves of %s cannot be drawn: %s: %s", stage, type(error).__name__, error)
        return None
    return picture


def watch_page(
    stage: str,
    attempts: Sequence[Mapping[str, Any]],
    training: Sequence[Mapping[str, Any]],
    learning: bytes | None = None,
) -> str:
    """The page: the chart of memory with the budget, a row of peaks for each attempt, the curves of a training.

    Args:
        stage: its name.
        attempts: as `read_watch` gives them.
        training: as `read_training` gives it.
        learning: a picture of the learning curves.
    """
    curves = {
        f"{number} {attempt['outcome']}": attempt["channels"].get("memory_mb", {}).get("points", [])
        for number, attempt in enumerate(attempts, start=1)
    }
    chart = memory_chart(curves, budget_mb=attempts[-1]["budget_mb"], title=f"Memory of {stage}")
    parts = [png_markdown(chart, f"Memory of {stage}"), _peaks(attempts)]
    parts += [f"- {note}" for attempt in attempts for note in attempt["notes"]]
    if training:
        parts.append(png_markdown(training_chart(training, title=f"Training of {stage}"), f"Training of {stage}"))
    if learning is not None:
        parts.append(png_markdown(learning, f"Learning of {stage}"))
    return "\n\n".join(parts)


def _peaks(attempts: Sequence[Mapping[str, Any]]) -> str:
    named = [name for name in CHANNELS if any(name in attempt["channels"] for attempt in attempts)]
    headers = ["attempt", "ended", "seconds", "budget, MiB", "soft limit passed", *(CHANNELS[name] for name in named)]
    rows = [
        [
            number,
            attempt["outcome"],
            round(attempt["seconds"]),
            _figure(attempt["budget_mb"]),
            "" if attempt["soft_at"] is None else f"after {attempt['soft_at']:.0f} s",
            *(_figure(attempt["channels"].get(name, {}).get("peak")) for name in named),
        ]
        for number, attempt in enumerate(attempts, start=1)
    ]
    return markdown_table(headers, rows)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
