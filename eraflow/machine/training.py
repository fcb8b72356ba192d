"""The curve of a training, as the child tells it: `training.json` beside the stage.

    {"points": [{"fit": 0, "step": 10, "loss": 0.21, "grad_norm": 0.9, "rate": 0.001, "corr": null}, ...]}

`corr` is the CORR of eras that were kept back, told now and then. `fit` counts the trainings of one stage (folds): it
rises whenever the step does not. What is not finite stands as text.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json

TRAINING_FILE = "training.json"
MAX_POINTS = 1_000
WRITE_SECONDS = 10.0


class TrainingCurve:
    """Collects "training" marks in a bounded number of points: when full, every second one goes."""

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []
        self._fit = 0
        self._last: dict[str, Any] | None = None
        self._seen = 0
        self._stride = 1
        self._written = time.monotonic()

    def feed(self, content: object) -> None:
        """Take the content of one mark; anything malformed is ignored, it came from somebody's print."""
        if not isinstance(content, Mapping) or not isinstance(content.get("step"), int):
            return
        step = content["step"]
        if self._last is not None and self._last["step"] == step and "loss" not in content:  # more about the same step
            self._last["corr"] = _plain(content.get("corr"))
            if self._last is not self.points[-1]:
                self.points.append(self._last)
            return
        if self._last is not None and step <= self._last["step"]:
            self._fit += 1
        self._last = {"fit": self._fit, "step": step, **{name: _plain(content.get(name)) for name in _FIGURES}}
        if self._seen % self._stride == 0 or isinstance(self._last["loss"], str):  # what is not finite always stays
            self.points.append(self._last)
        self._seen += 1
        if len(self.points) > MAX_POINTS:
            self.points, self._stride = self.points[::2], 2 * self._stride

    def due(self) -> bool:
        """Whether there is something to write and ten seconds have passed."""
        return bool(self.points) and time.monotonic() - self._written >= WRITE_SECONDS

    def write(self, folder: Path) -> None:
        """Write the file, whole or not at all; nothing when nothing was told.

        Raises:
            StorageError: when the disk refuses.
        """
        self._written = time.monotonic()
        if self._last is not None:
            last = [] if self.points and self.points[-1] is self._last else [self._last]
            write_json(folder / TRAINING_FILE, {"points": [*self.points, *last]})


_FIGURES = ("loss", "grad_norm", "rate", "corr")


def _plain(value: object) -> float | str | None:
    """A figure as JSON can hold it: "nan" and "inf" as text."""
    try:
        figure = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return figure if math.isfinite(figure) else str(figure)


def read_training(folder: Path) -> list[dict[str, Any]]:
    """The points of a stage's training, in order; empty when there are none."""
    try:
        points = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))["points"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [point for point in points if isinstance(point, dict) and "step" in point]
