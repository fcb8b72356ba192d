"""What earlier runs left behind in the home folder: runs that were cut off, and how to go on with them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from eraflow.errors import EraflowError
from eraflow.runs.rundir import RunLockedError, locked
from eraflow.runs.unfinished import MAX_AGE_DAYS, unfinished_runs
from flows.command.doctor.examine import Finding

SHOWN = 3
FLOWS = {"weekly": "run", "daily": "daily"}


def examine_leftovers(home: Path) -> Iterator[Finding]:
    """A line for each unfinished run that is not at work, the newest first; locks end with their owners."""
    unfinished = [(flow, path) for flow in FLOWS for path in unfinished_runs(home, flow)]
    working = [path for _, path in unfinished if _is_held(path)]
    for path in working:
        yield Finding("at work", "ok", str(path))
    left = [(flow, path) for flow, path in unfinished if path not in working]
    for flow, path in left[:SHOWN]:
        yield Finding("unfinished run", "warning", str(path), f"{_command(home, flow, path)} goes on with it")
    if len(left) > SHOWN:
        yield Finding("unfinished run", "warning", f"{len(left) - SHOWN} more", f"see {home / 'runs'}")
    if not left:
        yield Finding("unfinished runs", "ok", f"none of the last {MAX_AGE_DAYS:.0f} days")


def _command(home: Path, flow: str, path: Path) -> str:
    return f"eraflow {FLOWS[flow]} --resume --home {shlex.quote(str(home))} --run-dir {shlex.quote(str(path))}"


def _is_held(path: Path) -> bool:
    """Whether a process works in the folder now. A folder that cannot be opened is not ours to judge."""
    try:
        with locked(path):
            return False
    except RunLockedError:
        return True
    except EraflowError:
        return False
