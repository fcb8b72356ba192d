"""The run that a flow works in: its settings and its folder, held by a lock while the flow works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.runtime import flow_run

from eraflow.home import make_home
from eraflow.loopback import go_direct
from eraflow.settings import RunSettings
from eraflow.store.atomic import remove_leftovers, write_text
from eraflow.store.rundir import locked, new_run_dir
from eraflow.store.unfinished import SETTINGS, earlier_flow_runs, folder_of_flow_run, note_run
from eraflow.store.weekrecord import forget_last_outcome, note_left_out, write_outcome
from models.libraries import present_members
from tasks.deadruns import close_earlier
from tasks.endofrun import name_run, show_end
from tasks.plainerrors import show_plain_errors

RUNNING = "running"


@dataclass(frozen=True)
class Run:
    """Settings and folder of one run; small enough to be handed to every task."""

    settings: RunSettings
    path: Path


@contextmanager
def open_run(settings: RunSettings, label: str, *, trains: bool = True) -> Iterator[Run]:
    """Choose the folder, take its lock, and write the settings into it.

    A flow run that Prefect retries goes on in the folder it began in: finished stages are not repeated.

    Args:
        settings: as given; those of the run are without the optional members whose library is not installed.
        label: of the flow.
        trains: whether the members of the settings are needed at all.

    Raises:
        MissingLibraryError: a member that is wanted needs a library that is not installed.
        RunLockedError: when another process works in the folder.
        StorageError: when it cannot be written.
    """
    show_plain_errors()
    for unusable in go_direct():  # under a worker, which knows nothing of it
        get_run_logger().warning("%s", unusable)
    settings = settings.at_home()
    make_home(settings.home_path)
    flow_run_id = flow_run.get_id()
    path = _folder(settings, label, flow_run_id)
    with locked(path):
        close_earlier(earlier_flow_runs(path), flow_run_id, get_run_logger())
        remove_leftovers(path)
        forget_last_outcome(path)
        write_text(path / SETTINGS, settings.model_dump_json(indent=2) + "\n")
        note_run(settings.home_path, path, label, flow_run_id)
        name_run(path, RUNNING)
        try:
            yield Run(_present(settings, path) if trains else settings, path)
        except BaseException as error:
            write_outcome(path, error)
            raise
        finally:
            show_end(path)


def _present(settings: RunSettings, path: Path) -> RunSettings:
    """The settings without the members that this installation cannot train; each is told of."""
    present, left_out = present_members(settings)
    if left_out:
        note_left_out(path, left_out)
    for name, error in left_out.items():
        get_run_logger().warning("%s is left out: %s", name, error)
    return present


def _folder(settings: RunSettings, label: str, flow_run_id: str | None) -> Path:
    if settings.run_dir:
        return Path(settings.run_dir).expanduser().resolve()
    begun = folder_of_flow_run(settings.home_path, flow_run_id) if flow_run_id else None
    return begun or new_run_dir(settings.home_path, label)


def conclude(run: Run) -> dict[str, Any]:
    """Write the record of a run that ended as it should, and return it."""
    return write_outcome(run.path)
