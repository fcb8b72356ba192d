"""Live scores in MLflow: one run a slot, a point a round in each metric, told again where a score has moved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.livescores.table import LiveLine
from eraflow.tracking.tracking import TrackedRun, Tracker

FILE = "mlflow.json"
NEWEST = 40
"""Rounds that are told each time: more than can still move."""
FIGURES = ("corr", "mmc", "bmc", "payout", "percentile", "promised_corr", "promised_payout")


def log_live_scores(tracker: Tracker, folder: Path, slot: str, lines: Sequence[LiveLine]) -> str:
    """Log the newest rounds of a slot as `live/METRIC` with the round as step; the id of its MLflow run.

    Args:
        tracker: the store.
        folder: of the slot's scores, where the id of the run is kept.
        slot: its name.
        lines: of the slot, the newest first.

    Raises:
        TrackingError: MLflow cannot be written.
    """
    run_id = str((read_object(folder / FILE) or {}).get(tracker.uri) or "")
    if not run_id:
        with tracker.run(f"Live scores of {slot}", kind="live", tags={"slot": slot}) as begun:
            run_id = begun.run_id
        write_json(folder / FILE, {tracker.uri: run_id})
    logged = TrackedRun(tracker.link, run_id)
    for figure in FIGURES:
        values = [(line.round_number, getattr(line, figure)) for line in reversed(lines[:NEWEST])]
        logged.log_steps(f"live/{figure}", [(number, value) for number, value in values if value is not None])
    return run_id
