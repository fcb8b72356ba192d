"""The run that a flow works in: its settings and its folder, held by a lock while the flow works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

from eraflow.home import make_home
from eraflow.settings import RunSettings
from eraflow.store.atomic import remove_leftovers, write_text
from eraflow.store.rundir import locked, new_run_dir
from eraflow.store.unfinished import SETTINGS, earlier_flow_runs, folder_of_flow_run, note_run
from eraflow.store.weekrecord import forget_last_outcome, write_outcome
from tasks.endofrun import name_run, show_end
from tasks.plainerrors import show_plain_errors

RUNNING = "running"


@dataclass(frozen=True)
class Run:
    """Settings and folder of one run; small enough to be handed to every task."""

    settings: RunSettings
    path: Path


@contextmanager
def open_run(settings: RunSettings, label: str) -> Iterator[Run]:
    """Choose the folder, take its lock, and write the settings into it.

    A flow run that Prefect retries goes on in the folder it began in: finished stages are not repeated.

    Raises:
        RunLockedError: when another process works in the folder.
        StorageError: when it cannot be written.
    """
    show_plain_errors()
    settings = settings.at_home()
    make_home(settings.home_path)
    flow_run_id = flow_run.get_id()
    path = _folder(settings, label, flow_run_id)
    with locked(path):
        close_dead_flow_runs(earlier_flow_runs(path), flow_run_id)
        remove_leftovers(path)
        forget_last_outcome(path)
        write_text(path / SETTINGS, settings.model_dump_json(indent=2) + "\n")
        note_run(settings.home_path, path, label, flow_run_id)
        name_run(path, RUNNING)
        try:
            yield Run(settings, path)
        except BaseException as error:
            write_outcome(path, error)
            raise
        finally:
            show_end(path)


def _folder(settings: RunSettings, label: str, flow_run_id: str | None) -> Path:
    if settings.run_dir:
        return Path(settings.run_dir).expanduser().resolve()
    begun = folder_of_flow_run(settings.home_path, flow_run_id) if flow_run_id else None
    return begun or new_run_dir(settings.home_path, label)


def close_dead_flow_runs(flow_run_ids: Sequence[str], current: str | None) -> None:
    """Tell the server that the flow runs which worked in this folder before, and hold it no more, are dead.

    A killed process cannot say so itself, and its run would be shown as running for ever. Only whoever holds the
    folder's lock may call this.
    """
    dead = [known for known in flow_run_ids if known != current]
    if not dead:
        return
    try:
        with get_client(sync_client=True) as client:
            for known in dead:
                if client.read_flow_run(UUID(known)).state_type == StateType.RUNNING:
                    client.set_flow_run_state(UUID(known), Crashed(message=f"killed; {current} goes on"), force=True)
    except Exception as error:  # noqa: BLE001 - another server or a fresh database: this is for people's eyes only
        get_run_logger().info("earlier runs of this folder cannot be closed in the UI: %s", error)


def conclude(run: Run) -> dict[str, Any]:
    """Write the record of a run that ended as it should, and return it."""
    return write_outcome(run.path)
