"""A flow process is killed; `eraflow resume` puts its run back on the schedule, once, and the same run finishes."""

import json
import subprocess
import sys
import time

import pytest

from tests.deployments.serverworker import ROOT, wait_for_stage
from tests.weeks import TINY

pytestmark = [pytest.mark.server, pytest.mark.slow]


def resume(running, home, *arguments):
    done = running.eraflow("resume", "--home", home, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def decision(record, run_id):
    return next((run for run in record["runs"] if run["flow_run_id"] == run_id), None)


@pytest.fixture(scope="module")
def killed(road):
    """A run of the sandbox deployment whose flow process was killed while a stage was at work."""
    running, folder = road
    home = folder / "resumed"
    run_id = running.start_run({**TINY, "home": str(home)})
    wait_for_stage(run_id, 120)[0].kill()
    running.wait_for_run(run_id, {"CRASHED"}, 60)
    return running, home, run_id


def test_a_fresh_crash_is_left_alone_until_it_can_not_be_reported_again(killed):
    running, home, run_id = killed
    found = decision(resume(running, home, "--after", 600), run_id)
    assert not found["rescheduled"]
    assert "600 s" in found["why"]
    assert running.get(f"/flow_runs/{run_id}")["state"]["type"] == "CRASHED"


def test_two_at_once_reschedule_it_once_and_the_same_run_finishes(killed):
    running, home, run_id = killed
    time.sleep(12)  # runner and worker have both said what they had to say
    command = [sys.executable, "-m", "flows.command.entry", "resume", "--home", str(home), "--json", "--after", "5"]
    both = [subprocess.Popen(command, cwd=ROOT, env=running.env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    records = [json.loads(one.communicate(timeout=120)[0].splitlines()[-1]) for one in both]
    found = [decision(record, run_id) for record in records]
    assert [one["rescheduled"] for one in found if one and one["rescheduled"]] == [True]

    state = running.wait_for_run(run_id, {"COMPLETED", "FAILED", "CRASHED"}, 300)
    assert state["type"] == "COMPLETED", state
    names = running.states(run_id)
    assert names.count("AwaitingRetry") == 1
    assert names.count("Running") == 2
    tasks = running.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
    assert {task["state_type"] for task in tasks} == {"COMPLETED", "CRASHED"}  # none is shown as running for ever
    assert running.get(f"/flow_runs/{run_id}")["run_count"] == 2


def test_it_went_on_in_its_folder_and_was_submitted_once(killed):
    _, home, _ = killed
    (run_dir,) = [path for path in (home / "runs").iterdir() if path.is_dir()]
    assert json.loads((run_dir / "record.json").read_text())["outcome"] == "submitted"
    (state,) = home.glob("sandbox/*/state/state.json")
    assert len(json.loads(state.read_text())["submissions"]) == 1


def test_a_finished_run_is_not_touched(killed):
    running, home, run_id = killed
    before = running.states(run_id)
    assert decision(resume(running, home, "--after", 0), run_id) is None
    assert running.states(run_id) == before
    assert before[-1] == "Completed"


def test_without_a_server_it_says_what_to_do(deployed, tmp_path):
    running, _ = deployed
    env = {**running.env, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    command = [sys.executable, "-m", "flows.command.entry", "resume", "--home", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "prefect_unreachable" in done.stderr
    assert "eraflow server" in done.stderr
