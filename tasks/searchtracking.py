"""A search in MLflow: one run for the search and one below it for each trial."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from prefect import get_run_logger

from eraflow.errors import EraflowError
from eraflow.runs.rundir import RunLockedError, locked
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import timed
from eraflow.tracking.tracking import ChildRun
from tasks.register import tracker
from tasks.run import Run

RECORDING = "search/recording"
FIGURES = ("value", "score", "corr", "training_corr", "length", "pressure", "penalty", "floor")
LOCK_SECONDS = 300.0


def track_search(run: Run, record: StageRecord, report: Mapping[str, Any]) -> None:
    """One MLflow run for the search and one below it for each trial. A failure is logged and costs nothing."""
    if not run.settings.tracking.enabled:
        return
    try:
        # Two processes that share a search would otherwise take each other's unfinished runs for a dead one's.
        with timed(run.path, f"track-{record.name}"), _alone(run.settings.home_path / RECORDING):
            _track(run, record, report)
    except EraflowError as error:
        get_run_logger().error("%s", error)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`; wait for whoever holds it, some minutes at the most."""
    deadline = time.monotonic() + LOCK_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder))
                break
            except RunLockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)
        yield


def _track(run: Run, record: StageRecord, report: Mapping[str, Any]) -> None:
    book = tracker(run)
    tags = {"run_dir": str(run.path), "signature": record.signature, "study": report["study"]}
    with book.run(record.name, kind="search", tags=tags) as parent:
        parent.log_settings({"search": run.settings.search.model_dump(mode="json"), "kept": report["params"]})
        parent.log_metrics({name: _number(value) for name, value in record.metrics.items()})
        parent.log_files(record.path / "search.json")
        seconds = record.metrics.get("trial_seconds", [])
        book.log_children(parent, [_child(line, seconds) for line in report["course"]])


def _child(line: Mapping[str, Any], seconds: list[float]) -> ChildRun:
    place = line["trial"] - 1
    return ChildRun(
        name=f"trial {line['trial']}",
        kind="trial",
        params=line["params"],
        metrics={
            **{name: _number(line[name]) for name in FIGURES},
            "seconds": seconds[place] if place < len(seconds) else None,
        },
        curve={int(step): value for step, value in line["reported"].items()},
        tags={"origin": line["origin"], "state": line["state"], "note": line["note"] or None},
        status="FINISHED" if line["state"] == "complete" else "KILLED",
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
