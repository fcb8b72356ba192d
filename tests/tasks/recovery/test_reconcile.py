"""Which crashed runs go back on the schedule: by the rules, without a server."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import FlowRun, State, StateType

from tasks.recovery.reconcile import RUN_VARIABLE, ResumeSettings, process_of, reason_to_leave, reconcile

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SETTINGS = ResumeSettings()
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


def run(kind="CRASHED", crashed=300.0, began=3600.0, count=1, parameters=None):
    """A flow run that came to its state `crashed` seconds ago and began `began` seconds ago."""
    state = State(type=StateType(kind), name=kind.title(), timestamp=NOW - timedelta(seconds=crashed))
    begun = NOW - timedelta(seconds=began)
    return FlowRun(
        id=uuid4(),
        name="a run",  # otherwise Prefect draws one, from the generator that hypothesis watches
        flow_id=uuid4(),
        state=state,
        run_count=count,
        start_time=begun,
        expected_start_time=begun,
        parameters=parameters or {},
    )


def why(crashed, *others, settings=SETTINGS):
    return reason_to_leave(crashed, [crashed, *others], settings, NOW)


def test_a_settled_crash_goes_back_on_the_schedule():
    assert why(run()) == ""


@pytest.mark.parametrize(("seconds", "left"), [(59, True), (60, False), (61, False)])
def test_a_crash_has_sixty_seconds_to_settle(seconds, left):
    assert bool(why(run(crashed=seconds))) is left


@pytest.mark.parametrize(("count", "left"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_run_is_started_three_times_at_most(count, left):
    assert bool(why(run(count=count))) is left


@pytest.mark.parametrize("kind", ["RUNNING", "PENDING", "CANCELLING", "PAUSED", "SCHEDULED"])
def test_never_beside_another_run_of_the_deployment(kind):
    assert "another run" in why(run(), run(kind, began=10))
    assert "another run" in why(run(), run(kind, began=90_000))


@pytest.mark.parametrize("kind", sorted(FINAL))
def test_a_later_run_of_the_same_parameters_takes_its_place(kind):
    assert "took its place" in why(run(began=3600), run(kind, began=1800))
    assert why(run(began=3600), run(kind, began=7200)) == ""
    assert why(run(began=3600), run(kind, began=1800, parameters={"settings": {"seed": 8}})) == ""


@pytest.mark.parametrize("kind", ["COMPLETED", "FAILED", "CANCELLED", "RUNNING", "SCHEDULED"])
def test_only_crashed_runs_are_touched(kind):
    assert why(run(kind))


def test_a_run_whose_process_is_alive_is_left():
    crashed = run()
    env = {**os.environ, RUN_VARIABLE: str(crashed.id)}
    with subprocess.Popen([sys.executable, "-c", "input()"], env=env, stdin=subprocess.PIPE) as alive:
        assert f"its process {alive.pid}" in why(crashed)
        assert process_of(crashed.id) == alive.pid
        alive.stdin.close()
    assert why(crashed) == ""


class Server:
    """What `reconcile` asks of a server, on a list of runs of one deployment."""

    def __init__(self, runs):
        self.runs = runs
        self.set = []

    def read_deployments(self, deployment_filter):
        assert deployment_filter.tags.all_ == ["eraflow"]
        return [type("Deployment", (), {"id": uuid4(), "name": "weekly"})]

    def read_flow_runs(self, **_):
        return [one.model_copy(deep=True) for one in self.runs]

    def read_flow_run(self, run_id):
        return next(one for one in self.runs if one.id == run_id)

    def read_task_runs(self, **_):
        return []

    def set_flow_run_state(self, run_id, state, force):
        assert force
        self.set.append(run_id)
        self.read_flow_run(run_id).state = state
        return type("Answer", (), {"status": type("Status", (), {"value": "ACCEPT"})})


def test_calling_it_twice_reschedules_once():
    server = Server([run()])
    assert [one.rescheduled for one in reconcile(server, SETTINGS, NOW)] == [True]
    assert reconcile(server, SETTINGS, NOW) == []
    assert server.runs[0].state.name == "AwaitingRetry"
    assert len(server.set) == 1


def test_a_run_that_moved_on_between_look_and_deed_is_not_touched():
    server = Server([run()])
    looked_at = server.read_flow_runs()
    server.read_flow_runs = lambda **_: looked_at
    server.runs[0].state = State(type=StateType.RUNNING, name="Running")
    assert [one.why for one in reconcile(server, SETTINGS, NOW)] == ["it is Running by now"]
    assert server.set == []


def test_runs_of_older_rounds_are_not_looked_at():
    assert reconcile(Server([run(began=7 * 86_400)]), SETTINGS, NOW) == []
    week = ResumeSettings(max_age_days=8)
    assert [one.rescheduled for one in reconcile(Server([run(began=7 * 86_400)]), week, NOW)] == [True]


ANY = st.builds(
    run,
    kind=st.sampled_from(["CRASHED", "RUNNING", "PENDING", "SCHEDULED", "COMPLETED", "FAILED"]),
    crashed=st.floats(0, 1000),
    began=st.floats(0, 20 * 86_400),
    count=st.integers(0, 5),
    parameters=st.sampled_from([{}, {"settings": {"seed": 1}}]),
)


@given(st.lists(ANY, max_size=6))
def test_whatever_is_there_one_run_at_most_is_set_in_motion_and_never_beside_another(runs):
    server = Server(runs)
    before = [one.state.type.value for one in runs]
    reconcile(server, SETTINGS, NOW)
    reconcile(server, SETTINGS, NOW)
    assert len(server.set) <= 1
    if server.set:
        assert {"RUNNING", "PENDING", "SCHEDULED"}.isdisjoint(before)
        chosen = server.read_flow_run(server.set[0])
        assert chosen.run_count < 3
