"""Runs whose process was killed, closed in Prefect's database: nobody else ends them, their tasks and their subflows.

A killed process tells the server nothing. Its flow run, and each task run that was at work, would be shown as running
for ever. Whether a process is alive is told by the lock of its run folder, which the kernel drops with its owner.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from eraflow.disk.locks import owner_is_dead
from eraflow.runs.outcome import outcome_of
from eraflow.runs.rundir import LOCK
from eraflow.runs.unfinished import folder_of_flow_run
from tasks.recovery.reconcile import NO_SIGN_OF_LIFE, process_of

OURS = ("weekly", "daily", "research")  # names of the flows
AT_WORK = [StateType.RUNNING, StateType.CANCELLING]  # what is scheduled or pending is the worker's to begin
ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED]
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED, StateType.CANCELLING, StateType.PAUSED]
SETTLED_SECONDS = 10.0  # a run takes its lock within a second of its state; the last states of tasks arrive as late
AT_ONCE = 200  # the server gives no more
KILLED = "killed"


def close_dead_runs(client: SyncPrefectClient, home: Path, now: datetime | None = None) -> list[str]:
    """Close the runs of this home whose process is gone, and what runs that have ended left at work.

    Runs that are not known here are left alone: on a server of several computers they are another's.

    Args:
        client: of the server that knows the runs.
        home: its run folders tell who is alive.
        now: in UTC.

    Returns:
        The names of the flow runs that were closed, as they are called now.
    """
    moment = now or datetime.now(UTC)
    ours = FlowFilter(name=FlowFilterName(any_=list(OURS)))
    closed = []
    for run in client.read_flow_runs(flow_filter=ours, flow_run_filter=_in_state(AT_WORK), limit=AT_ONCE):
        folder = _folder_of(run, home)
        if folder is not None and _is_dead(run, folder, moment):
            told = f"{NO_SIGN_OF_LIFE}: nobody works in its folder any more" if run.deployment_id else KILLED
            close_flow_run(client, run.id, told)
            closed.append(_rename(client, run, folder))
    settled = _in_state(ENDED, moment - timedelta(seconds=SETTLED_SECONDS))
    for task_run in _unfinished_tasks(client, settled, ours):
        _close_task(client, task_run, "its flow run has ended")
    return closed


def close_flow_run(client: SyncPrefectClient, flow_run_id: UUID, told: str) -> None:
    """Close a flow run whose process is known to be gone, with its tasks and its subflows.

    One that waits to be started again keeps its state; one that has ended keeps how it did.
    """
    try:
        run = client.read_flow_run(flow_run_id)
    except ObjectNotFound:  # another server or a fresh database
        return
    of_it = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    for task_run in _unfinished_tasks(client, of_it):
        _close_task(client, task_run, told)
    below = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    for subflow in client.read_flow_runs(flow_run_filter=below, limit=AT_ONCE):
        close_flow_run(client, subflow.id, told)
    if run.state_type in AT_WORK:
        state: State[Any] = Crashed(message=told)
        client.set_flow_run_state(flow_run_id, state, force=True)


def close_earlier(flow_run_ids: Sequence[str], current: str | None, log: Any) -> None:
    """Close the flow runs that worked in a folder before. Only whoever holds the folder's lock may call this."""
    dead = [known for known in flow_run_ids if known != current]
    if not dead:
        return
    try:
        with get_client(sync_client=True) as client:
            for known in dead:
                close_flow_run(client, UUID(known), f"{KILLED}; {current} goes on")
    except Exception as error:  # noqa: BLE001 - another server or a fresh database: this is for people's eyes only
        log.info("earlier runs of this folder cannot be closed in the UI: %s", error)


def sweep(home: Path) -> list[str]:
    """`close_dead_runs` on the server that is named, before anything else is done; what fails is only logged."""
    try:
        with get_client(sync_client=True) as client:
            return close_dead_runs(client, home)
    except Exception as error:  # noqa: BLE001 - this is for people's eyes only, and whatever follows asks the server too
        logging.getLogger(__name__).info("dead runs cannot be closed: %s: %s", type(error).__name__, error)
        return []


def _in_state(types: list[StateType], ended_before: datetime | None = None) -> FlowRunFilter:
    end = None if ended_before is None else FlowRunFilterEndTime(before_=ended_before)
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)), end_time=end)


def _unfinished_tasks(
    client: SyncPrefectClient, flow_runs: FlowRunFilter, flows: FlowFilter | None = None
) -> Iterator[TaskRun]:
    """Task runs without an end, page by page: what is closed meanwhile is not found again."""
    seen: set[UUID] = set()
    wanted = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED)))
    while True:
        page = client.read_task_runs(
            flow_filter=flows, flow_run_filter=flow_runs, task_run_filter=wanted, limit=AT_ONCE
        )
        fresh = [task_run for task_run in page if task_run.id not in seen]
        if not fresh:
            return
        yield from fresh
        seen |= {task_run.id for task_run in fresh}


def _close_task(client: SyncPrefectClient, task_run: TaskRun, told: str) -> None:
    state: State[Any] = Crashed(message=told)
    client.set_task_run_state(task_run.id, state, force=True)


def _is_dead(run: FlowRun, folder: Path, now: datetime) -> bool:
    began = run.state.timestamp if run.state else now
    if now - began < timedelta(seconds=SETTLED_SECONDS):
        return False
    return owner_is_dead(folder / LOCK) and process_of(run.id) is None


def _folder_of(run: FlowRun, home: Path) -> Path | None:
    """The folder that a flow run works in: the one that noted its id, or that its parameters name."""
    noted = folder_of_flow_run(home, str(run.id))
    if noted is not None:
        return noted
    settings = run.parameters.get("settings")
    named = settings.get("run_dir") if isinstance(settings, dict) else None
    return Path(named) if isinstance(named, str) else None


def _rename(client: SyncPrefectClient, run: FlowRun, folder: Path) -> str:
    name = outcome_of(folder, KILLED).name if folder.exists() else f"{run.name} ({KILLED})"
    client.update_flow_run(run.id, name=name)
    return name


if __name__ == "__main__":  # `eraflow server` calls this in a process of its own, which takes Prefect's memory with it
    sweep(Path(sys.argv[1]))
