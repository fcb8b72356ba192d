"""The run that a flow works in: its settings and its folder, held by a lock while the flow works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.settings import RunSettings
from eraflow.store.atomic import write_text
from eraflow.store.rundir import locked, new_run_dir
from eraflow.store.weekrecord import forget_last_outcome, write_outcome


@dataclass(frozen=True)
class Run:
    """Settings and folder of one run; small enough to be handed to every task."""

    settings: RunSettings
    path: Path


@contextmanager
def open_run(settings: RunSettings, label: str) -> Iterator[Run]:
    """Choose the folder, take its lock, and write the settings into it.

    Raises:
        RunLockedError: when another process works in the folder.
        StorageError: when it cannot be written.
    """
    path = Path(settings.run_dir).expanduser().resolve() if settings.run_dir else new_run_dir(settings.home_path, label)
    with locked(path):
        forget_last_outcome(path)
        write_text(path / "settings.json", settings.model_dump_json(indent=2) + "\n")
        try:
            yield Run(settings, path)
        except BaseException as error:
            write_outcome(path, error)
            raise


def conclude(run: Run) -> dict[str, Any]:
    """Write the record of a run that ended as it should, and return it."""
    return write_outcome(run.path)
