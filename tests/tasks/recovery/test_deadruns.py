"""Runs whose process is gone are closed with their tasks and subflows; whoever is at work is left alone."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import AwaitingRetry, Cancelling, Completed, Crashed, Pending, Running

from eraflow.runs.rundir import locked
from eraflow.runs.unfinished import note_run
from tasks.recovery.deadruns import close_dead_runs, close_earlier
from tasks.recovery.reconcile import NO_SIGN_OF_LIFE

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]
LATER = timedelta(minutes=1)


@flow(name="weekly")
def weekly(settings=None):
    """Stands for the real one."""


@flow(name="somebody-else-s")
def foreign(settings=None):
    """Of no concern to us."""


@task
def stage():
    """Stands for a stage."""


@pytest.fixture
def client(prefect_server):
    with get_client(sync_client=True) as found:
        yield found


def begun(client, state=None, of=weekly, tasks=(), parent=None, parameters=None):
    """A flow run in a state, with a task run in each of `tasks`; nobody works for it."""
    run = client.create_flow_run(of, state=state or Running(), parent_task_run_id=parent, parameters=parameters)
    for each in tasks:
        client.create_task_run(stage, run.id, dynamic_key=str(uuid4()), state=each)
    return run


def worked(home, run, name):
    """The folder that the run noted, with a lock that nobody holds."""
    folder = home / "runs" / name
    with locked(folder):
        note_run(home, folder, "weekly", str(run.id))
    return folder


def states(client, run):
    """Types of the flow run and of its task runs."""
    of_it = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    tasks = [each.state_type.value for each in client.read_task_runs(flow_run_filter=of_it)]
    return client.read_flow_run(run.id).state_type.value, sorted(tasks)


@pytest.mark.parametrize("state", [Running, Cancelling])
def test_a_killed_run_is_closed_with_its_tasks_and_subflows(client, tmp_path, state):
    run = begun(client, state(), tasks=[Running(), Pending(), AwaitingRetry(), Completed()])
    parent = client.create_task_run(stage, run.id, dynamic_key="sub", state=Running())
    below = begun(client, tasks=[Running()], parent=parent.id)
    worked(tmp_path, run, "a-weekly")
    assert close_dead_runs(client, tmp_path, datetime.now(UTC) + LATER) == ["weekly killed"]
    assert states(client, run) == ("CRASHED", ["COMPLETED", "CRASHED", "CRASHED", "CRASHED", "CRASHED"])
    assert states(client, below) == ("CRASHED", ["CRASHED"])
    assert client.read_flow_run(run.id).name == "weekly killed"
    assert close_dead_runs(client, tmp_path, datetime.now(UTC) + LATER) == []


def test_a_run_that_was_killed_before_it_noted_itself_is_found_by_its_parameters(client, tmp_path):
    folder = tmp_path / "mine"
    with locked(folder):
        pass
    run = begun(client, parameters={"settings": {"run_dir": str(folder)}})
    close_dead_runs(client, tmp_path, datetime.now(UTC) + LATER)
    assert states(client, run) == ("CRASHED", [])


@pytest.mark.parametrize("ended", [Crashed, Completed])
def test_tasks_that_a_run_which_has_ended_left_at_work_are_closed(client, tmp_path, ended):
    run = begun(client, Running(), tasks=[Running()])
    client.set_flow_run_state(run.id, ended(), force=True)
    close_dead_runs(client, tmp_path)
    assert states(client, run)[1] == ["RUNNING"]  # its last words may still be on their way
    close_dead_runs(client, tmp_path, datetime.now(UTC) + LATER)
    assert states(client, run) == (ended().type.value, ["CRASHED"])


def test_whoever_is_at_work_or_not_ours_is_left_alone(client, tmp_path):
    held, elsewhere = begun(client, tasks=[Running()]), begun(client, tasks=[Running()])
    other, waiting = begun(client, of=foreign, tasks=[Running()]), begun(client, AwaitingRetry(), tasks=[Running()])
    folder = worked(tmp_path, held, "held")
    worked(tmp_path / "another", elsewhere, "elsewhere")
    worked(tmp_path, other, "other")
    worked(tmp_path, waiting, "waiting")
    with locked(folder):
        assert close_dead_runs(client, tmp_path, datetime.now(UTC) + LATER) == []
    assert [states(client, one)[0] for one in (held, elsewhere, other, waiting)] == [*["RUNNING"] * 3, "SCHEDULED"]
    assert close_dead_runs(client, tmp_path) == []  # it began a moment ago, and may not have taken its lock yet


def test_a_run_of_a_deployment_is_closed_in_the_words_that_resume_tells_of(client, tmp_path):
    flow_id = client.create_flow(weekly)
    deployment = client.create_deployment(flow_id, name=f"d-{uuid4()}")
    run = client.create_flow_run_from_deployment(deployment)
    client.set_flow_run_state(run.id, Running(), force=True)
    worked(tmp_path, run, "deployed")
    close_dead_runs(client, tmp_path, datetime.now(UTC) + LATER)
    assert NO_SIGN_OF_LIFE in client.read_flow_run(run.id).state.message


def test_the_next_run_of_a_folder_closes_those_before_it_and_none_that_waits(client, caplog):
    first, second = begun(client, tasks=[Running()]), begun(client, tasks=[Running()])
    waiting = begun(client, AwaitingRetry(), tasks=[Running()])
    close_earlier([str(first.id), str(waiting.id), str(uuid4()), str(second.id)], str(second.id), logging.getLogger())
    assert states(client, first) == ("CRASHED", ["CRASHED"])
    assert states(client, waiting) == ("SCHEDULED", ["CRASHED"])
    assert states(client, second) == ("RUNNING", ["RUNNING"])
