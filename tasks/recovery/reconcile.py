"""Crashed runs of this project's deployments, put back on the schedule: once each, and never beside another run.

Prefect reports a killed flow process twice, seconds apart, by its runner and by its worker. An automation that answers
the first report is answered by the second, and the flow runs twice. So a crash is left alone until it has settled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Crashed, Scheduled
from pydantic import Field

from eraflow.runs.unfinished import MAX_AGE_DAYS
from eraflow.settings.section import Section

TAG = "eraflow"  # of a deployment in prefect.yaml: its crashed runs are ours to reschedule
RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"  # a worker starts each flow process with it
LOOKED_AT = 200  # newest runs of a deployment; the server gives no more at once
NO_SIGN_OF_LIFE = "no sign of life"  # the message of a run that the heartbeat automation declared crashed
AT_WORK = frozenset({"RUNNING", "PENDING", "CANCELLING", "PAUSED"})


class ResumeSettings(Section):
    """When a crashed run is put back on the schedule."""

    after_seconds: float = Field(60, ge=0, description="A crash younger than this may be reported once more.")
    max_runs: int = Field(3, ge=1, description="A run that was started this often is left as it is.")
    max_age_days: float = Field(
        MAX_AGE_DAYS, gt=0, description="A run that began longer ago was for a round that is over."
    )


@dataclass(frozen=True)
class Decision:
    """What was done about one crashed run.

    Attributes:
        why: it was left; empty when it was rescheduled.
        news: what its owner has to hear and nobody else has told; empty when there is nothing.
        block: the notification block that its parameters name.
        crash_id: the same for the same crash, another one for the next crash of the run.
    """

    flow_run_id: str
    name: str
    deployment: str
    why: str
    news: str = ""
    block: str | None = None
    crash_id: str = ""

    @property
    def rescheduled(self) -> bool:
        """Whether it was put back on the schedule."""
        return not self.why


def reconcile(client: SyncPrefectClient, settings: ResumeSettings, now: datetime | None = None) -> list[Decision]:
    """Reschedule what crashed and may go on, and say of every other crashed run why it was left.

    Only one caller at a time may do this: the server offers no way to compare and set. `eraflow resume` holds a lock.

    Returns:
        One decision for each crashed run of a deployment with the tag `eraflow` that is young enough to be looked at.
    """
    decisions: list[Decision] = []
    for deployment in our_deployments(client):
        moment = now or datetime.now(UTC)
        runs = _runs_until(client, deployment.id, moment)
        taken = ""
        for run in _crashed_lately(runs, settings, moment):
            why = taken or reason_to_leave(run, runs, settings, moment) or _reschedule(client, run)
            decisions.append(_decision(run, deployment.name, why, settings))
            if not why:
                taken = f"another run of the deployment goes first: {run.name}"
    return decisions


def our_deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """The deployments that carry the tag `eraflow`."""
    return client.read_deployments(deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])))


def _decision(run: FlowRun, deployment: str, why: str, settings: ResumeSettings) -> Decision:
    news, block = news_of(run, why, settings), _block_of(run)
    return Decision(str(run.id), run.name, deployment, why, news, block, f"{run.id}:{run.run_count}")


def news_of(run: FlowRun, why: str, settings: ResumeSettings) -> str:
    """What is to be told of a crashed run; empty when its own hook has told it, or nothing is decided yet.

    The crash of a flow process is told by its worker. When the computer died there was none, and when the run has been
    started as often as it may, nobody would hear that this is its end.

    Args:
        run: the crashed run.
        why: it was left, as `reason_to_leave` says; empty when it was rescheduled.
        settings: ages and counts.
    """
    message = (run.state.message if run.state else None) or "no message"
    if why == _started_often(run) and run.run_count >= settings.max_runs:
        return (
            f"{message}; {why} and is left as it is: look into its log, then start it again in the Prefect UI (Retry)"
        )
    if not why and NO_SIGN_OF_LIFE in message:
        return f"{message}: its computer or its worker died; it is back on the schedule and goes on in its folder"
    return ""


def _started_often(run: FlowRun) -> str:
    return f"it has been started {run.run_count} times"


def _block_of(run: FlowRun) -> str | None:
    settings = run.parameters.get("settings")
    alert = settings.get("alert") if isinstance(settings, dict) else None
    return alert.get("block") if isinstance(alert, dict) else None


def reason_to_leave(run: FlowRun, runs: Sequence[FlowRun], settings: ResumeSettings, now: datetime) -> str:
    """Why a crashed run is not rescheduled now; empty when nothing speaks against it.

    Args:
        run: the crashed run.
        runs: all runs of its deployment that are due or were.
        settings: ages and counts.
        now: in UTC.
    """
    others = [other for other in runs if other.id != run.id and other.state is not None]
    busy = next((other for other in others if _type(other) in AT_WORK or _type(other) == "SCHEDULED"), None)
    if run.state is None or _type(run) != "CRASHED":
        return f"it is {run.state.name if run.state else 'unknown'} by now"
    if now - run.state.timestamp < timedelta(seconds=settings.after_seconds):
        return f"it crashed less than {settings.after_seconds:.0f} s ago; it is looked at again later"
    if run.run_count >= settings.max_runs:
        return _started_often(run)
    if busy is not None:
        return f"another run of the deployment is {_name(busy)}: {busy.name}"
    later = next((other for other in others if _is_later(other, run)), None)
    if later is not None:
        return f"a later run of the same parameters took its place: {later.name}, {_name(later)}"
    alive = process_of(run.id)
    return "" if alive is None else f"its process {alive} is still at work"


def process_of(flow_run_id: UUID) -> int | None:
    """The id of a process on this computer that works for a flow run: a crash can be reported wrongly."""
    for process in psutil.process_iter():
        try:
            found = process.environ().get(RUN_VARIABLE)
        except (psutil.Error, OSError):  # somebody else's, or gone meanwhile
            continue
        if found == str(flow_run_id):
            return int(process.pid)
    return None


def _runs_until(client: SyncPrefectClient, deployment_id: UUID, moment: datetime) -> list[FlowRun]:
    """Runs that are due or were, the newest first; what is scheduled for later is left out."""
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
        flow_run_filter=FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(before_=moment)),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=LOOKED_AT,
    )


def _crashed_lately(runs: Sequence[FlowRun], settings: ResumeSettings, now: datetime) -> Iterator[FlowRun]:
    oldest = now - timedelta(days=settings.max_age_days)
    yield from (run for run in runs if _type(run) == "CRASHED" and _began(run) >= oldest)


def _reschedule(client: SyncPrefectClient, run: FlowRun) -> str:
    """Set AwaitingRetry unless the run has moved on meanwhile; the reason if it was not set."""
    fresh = client.read_flow_run(run.id)
    if fresh.state is None or run.state is None or fresh.state.id != run.state.id:
        return f"it is {_name(fresh)} by now"
    _end_tasks(client, run)
    state: State[Any] = Scheduled(
        name="AwaitingRetry", message=f"eraflow resume, after: {run.state.message or 'a crash'}"
    )
    answer = client.set_flow_run_state(run.id, state, force=True)
    return "" if answer.status.value == "ACCEPT" else f"the server answered {answer.status.value}"


def _end_tasks(client: SyncPrefectClient, run: FlowRun) -> None:
    """Say of the tasks that died with the flow process that they crashed; they would be shown as running for ever."""
    found = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING]))),
    )
    for task_run in found:
        state: State[Any] = Crashed(message="the flow process died")
        client.set_task_run_state(task_run.id, state, force=True)


def _is_later(other: FlowRun, run: FlowRun) -> bool:
    return other.parameters == run.parameters and _began(other) > _began(run)


def _began(run: FlowRun) -> datetime:
    """When the run was first begun; a retry moves its expected start, but not this."""
    return run.start_time or run.expected_start_time or run.created or datetime.now(UTC)


def _type(run: FlowRun) -> str:
    return run.state.type.value if run.state else ""


def _name(run: FlowRun) -> str:
    return (run.state.name if run.state else None) or "unknown"
