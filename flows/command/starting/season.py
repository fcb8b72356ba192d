"""Play a season: every step is a run of the real flows, on a tournament whose clock moves from week to week."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from eraflow.disk.digest import file_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.runs.conclusion import ended_record
from eraflow.runs.reclaim import size_of
from eraflow.runs.weekrecord import week_record
from eraflow.sandbox.season import SeasonState, SeasonStep, steps
from eraflow.sandbox.world import serve_week
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings
from flows.command.prefectserver.environment import prepare
from flows.command.prefectserver.runserver import run_server
from flows.command.terminal.runlog import run_log

MEMBERS = [
    {"kind": "lightgbm", "params": {"n_estimators": 40, "learning_rate": 0.1}},
    {
        "kind": "lightgbm",
        "name": "constitution",
        "params": {"n_estimators": 40, "learning_rate": 0.1},
        "bag": {"recipes": [{}], "feature_sets": ["constitution"]},
    },
]
TOO_FEW = {"bmc_bound": None, "mmc_floor": None, "max_exposure": None}
"""Rules that cannot be met at this size: hundreds of eras would certify them, hundreds of features share exposure."""
MOST_GB = 0.25
"""Of the home: cleaning goes by size, because in a season that lasts minutes nothing is days old."""


def play(season: SeasonState, assignments: Sequence[str], say: Callable[[str], object]) -> None:
    """Play what is not done yet. A season that was killed goes on in the run that it was in.

    Args:
        season: its folder.
        assignments: KEY=VALUE, settings of the participant, laid over the usual ones.
        say: told a line a step.

    Raises:
        EraflowError: the world cannot be written, or Prefect does not start.
    """
    left = [step for step in steps(season.weeks, season.events) if step.name not in season.done]
    if not left:
        return
    server = prepare(season.home)
    if not server:
        _serve(say)
    for step in left:
        serve_week(season.served, season.size, season.weeks, season.events, step.week, midweek=step.midweek)
        begun = time.monotonic()
        record = _played(season, step, assignments)
        seconds = round(time.monotonic() - begun, 1)
        season.note(step, {**record, "seconds": seconds, "home_mb": round(size_of([season.home]) / 2**20, 1)})
        say(f"week {step.week}, round {step.number}: {step.flow} {record['outcome']}, {seconds:.0f} s")


def _serve(say: Callable[[str], object]) -> None:
    """A Prefect server for the whole season; it ends last of all, because Prefect sends it lines until then."""
    stack = ExitStack()
    atexit.register(stack.close)
    address = stack.enter_context(run_server(Path(os.environ["PREFECT_HOME"]), say))
    os.environ["PREFECT_API_URL"] = f"{address}/api"


def settings_of(season: SeasonState, step: SeasonStep, assignments: Sequence[str]) -> RunSettings:
    """What the participant's settings say at a step."""
    mine: dict[str, Any] = {
        "home": str(season.home),
        "run_dir": str(season.home / "runs" / step.name),
        "source": {"kind": "sandbox", "data_dir": str(season.served), "attempts": 2},
        "data": {"target": step.target, "version": step.version, "features": "all"},
        "windows": {"folds": 2},
        "models": MEMBERS,
        "selection": {"importance_rows": 0},
        "round": {"wait_minutes": 0.05, "poll_seconds": 0.5},
        "machine": {"memory_mb": 1500, "threads": 2},
        "gate": {"on_block": "champion", **TOO_FEW},
        "clean": {"max_gb": MOST_GB},
    }
    return settings_from("sandbox", mine, assignments).at_home()


def _played(season: SeasonState, step: SeasonStep, assignments: Sequence[str]) -> dict[str, Any]:
    """What came of the step's run; one that had ended before a kill is not run again."""
    settings = settings_of(season, step, assignments)
    run_dir = Path(str(settings.run_dir))
    if (record := ended_record(run_dir)) is None:
        record = _run(step, settings, run_dir)
    return told(run_dir, record)


def _run(step: SeasonStep, settings: RunSettings, run_dir: Path) -> dict[str, Any]:
    flow = getattr(import_module(f"flows.{step.flow}"), step.flow)
    import_module("tasks.recovery.deadruns").sweep(settings.home_path)
    with run_log(run_dir, lambda _: None):
        state = flow(settings, return_state=True)
    error = None if state.is_completed() or state.name == "Held" else state.result(raise_on_failure=False)
    if isinstance(error, BaseException) and not isinstance(error, EraflowError):
        raise error
    return week_record(run_dir)


def told(run_dir: Path, record: dict[str, Any]) -> dict[str, Any]:
    """What of a run's record the season keeps: the run itself may be cleaned before the season ends."""
    submission = record.get("submission") or {}
    verdict, error = record.get("verdict") or {}, record.get("error")
    scores = (record.get("scores") or {}).get("blend") or {}
    csv = run_dir / "submission" / "submission.csv"
    rules = [rule["text"] for rule in verdict.get("rules", []) if rule.get("judged") and not rule.get("passed")]
    return {
        "outcome": record["outcome"],
        "submission": (submission.get("state") or {}).get("id"),
        "csv_sha256": file_sha256(csv) if csv.exists() else None,
        "signature": submission.get("ensemble_signature"),
        "verdict": None if not verdict else "passed" if verdict.get("passed") else "blocked",
        "blocked_by": rules,
        "corr": (scores.get("corr") or {}).get("mean"),
        "error": None if error is None else {"code": error["code"], "problem": error["problem"]},
        "round": (read_object(run_dir / "round.json") or {}).get("number"),
    }
