"""The folder of a run: its stages, its settings, its record, and the lock that keeps a second process out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from eraflow.disk.locks import hold
from eraflow.errors import EraflowError

LOCK = ".lock"
CLOCK = "clock.json"  # when the run's last attempt began and ended
ASKED_SECONDS = 0.05


class RunLockedError(EraflowError):
    """Another process works in this run folder. Wait for it to end, or choose another `--run-dir`."""

    code = "run_locked"


def new_run_dir(home: Path, label: str, now: datetime | None = None) -> Path:
    """A name for a new run under `home/runs`: time in UTC, then the label. Nothing is created."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S")
    base = home / "runs" / f"{stamp}-{label}"
    path, number = base, 1
    while os.path.exists(path):  # pathlib's own raises where this user may not look
        number += 1
        path = base.with_name(f"{base.name}-{number}")
    return path


@contextmanager
def locked(run_dir: Path) -> Iterator[Path]:
    """Hold the run folder. The kernel drops the lock with its owner, so a killed run leaves none behind.

    Raises:
        RunLockedError: when another process holds it.
        StorageError, NoLocksError: when the folder cannot be written or locked.
    """
    handle = hold(run_dir / LOCK)
    if handle is None:  # or somebody only asks at this moment whether the folder's owner is dead
        time.sleep(ASKED_SECONDS)
        handle = hold(run_dir / LOCK)
    if handle is None:
        raise RunLockedError(
            f"another process works in {run_dir}", "wait until it has ended or choose another --run-dir"
        )
    with handle:
        yield run_dir
