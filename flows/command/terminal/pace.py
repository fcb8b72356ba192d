"""How long the rest of a run takes, by what earlier runs took and what this one shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eraflow.discovery.leakstage import LEAKS_STAGE
from eraflow.disk.jsonobject import read_object
from eraflow.kinds import SEARCHED
from eraflow.runs.unfinished import SETTINGS
from eraflow.runs.weekrecord import CODE, SEARCH, SELECT, TRAIN
from eraflow.settings.run import RunSettings

LOOKED_AT = 12
"""Earlier runs that are looked at, the newest first."""
SIZE = ("source", "sandbox", "data", "windows", "selection", "machine")
"""Groups of settings that decide how long a step takes."""
LEAST_SECONDS = 3.0
OTHER_SHARE = 0.03
"""A step that is no training, as a share of all trainings: docs/results.md, "What it scores on real equities"."""


def planned_steps(flow_name: str, settings: RunSettings) -> list[str]:
    """The steps that a run of these settings goes through, in order."""
    if flow_name == "daily":
        return ["refresh", "predict-live", "predict-again", *([] if settings.submit.dry_run else ["submit"])]
    first = ["refresh", "contract", "features"]
    if flow_name == "research":
        names = settings.search.models or [model.name for model in settings.models if model.kind in SEARCHED]
        return [*first, *(f"{SEARCH}{name}" for name in names)]
    return [
        *first,
        *([SELECT] if settings.selection.method != "none" else []),
        *([CODE] if settings.data.code != "none" else []),
        *(f"{TRAIN}{model.name}" for model in settings.models),
        "blend",
        "backtest",
        LEAKS_STAGE,
        *(["track"] if settings.tracking.enabled else []),
        "predict-live",
        "predict-again",
        *([] if settings.submit.dry_run else ["submit"]),
        *(["register"] if settings.tracking.enabled and not settings.submit.dry_run else []),
    ]


def earlier_seconds(settings: RunSettings) -> dict[str, float]:
    """Seconds of each step in earlier runs of this home on data of the same size; passes over what cannot be read."""
    found: dict[str, float] = {}
    ours = _size(settings.model_dump(mode="json"))
    records = sorted(settings.home_path.glob("runs/*/record.json"), key=_written, reverse=True)
    for path in records[:LOOKED_AT]:
        theirs, record = read_object(path.parent / SETTINGS) or {}, read_object(path) or {}
        if _size(theirs) != ours:
            continue
        for step, told in record.get("stages", {}).items():
            if isinstance(told, dict) and isinstance(seconds := told.get("seconds"), int | float):
                found.setdefault(step, float(seconds))
    return found


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings.get(name) for name in SIZE}


class Pace:
    """What each step takes: as in an earlier run, or after the trainings of this one.

    Args:
        earlier: seconds of steps in earlier runs.
    """

    def __init__(self, earlier: Mapping[str, float]) -> None:
        self._earlier = earlier

    def seconds_left(self, steps: Sequence[tuple[str, float | None, float | None]]) -> float | None:
        """Of all steps that are to come or at work; None while nothing is known.

        Args:
            steps: of each its name, its seconds so far (None: not begun) and its own estimate of the seconds left.
        """
        trainings = self._trainings(steps)
        left = 0.0
        for step, spent, own in steps:
            whole = self._whole(step, trainings)
            if own is not None:
                left += own
            elif whole is None:
                return None
            else:
                left += max(whole - (spent or 0.0), 0.0)
        return left

    def learn(self, step: str, seconds: float) -> None:
        """A step of this run has ended."""
        self._earlier = {**self._earlier, step: seconds}

    def _whole(self, step: str, trainings: list[float]) -> float | None:
        if step in self._earlier:
            return self._earlier[step]
        if not trainings:
            return None
        if step.startswith((TRAIN, SEARCH)):
            return sum(trainings) / len(trainings)
        return max(LEAST_SECONDS, OTHER_SHARE * sum(trainings))

    def _trainings(self, steps: Sequence[tuple[str, float | None, float | None]]) -> list[float]:
        known = {step: seconds for step, seconds in self._earlier.items() if step.startswith((TRAIN, SEARCH))}
        for step, spent, own in steps:
            if step.startswith((TRAIN, SEARCH)) and spent is not None and own is not None:
                known.setdefault(step, spent + own)
        return list(known.values())
