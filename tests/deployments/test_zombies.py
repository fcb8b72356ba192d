"""Flow and worker die together, as in a power cut: the automation says so, and the run goes on with the next worker."""

import json
from contextlib import suppress

import psutil
import pytest

from tests.deployments.serverworker import wait_for_stage, worker
from tests.weeks import TINY

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(400)]
NAME = "eraflow: crash runs whose heartbeats stopped"


def automations(running):
    return [found for found in running.post("/automations/filter") if found["name"] == NAME]


def install(running, home):
    done = running.eraflow("resume", "--install", "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["automation"]


def test_install_puts_one_automation_on_the_server_and_keeps_it_as_it_should_be(deployed, tmp_path):
    running, _ = deployed
    assert install(running, tmp_path) in ("created", "unchanged")
    assert install(running, tmp_path) == "unchanged"
    (found,) = automations(running)
    assert found["enabled"]
    assert found["trigger"]["posture"] == "Proactive"
    assert found["trigger"]["within"] == 75
    running.prefect("automation", "pause", "--id", found["id"])
    assert install(running, tmp_path) == "updated"
    (mended,) = automations(running)
    assert mended["id"] == found["id"]
    assert mended["enabled"]


@pytest.fixture(scope="module")
def cut_off(deployed, tmp_path_factory):
    """A run whose flow and worker were killed at one moment, and the state that the server then gave it.

    Some 90 seconds: heartbeats come every 30 s at the least, and two of them must be missed.
    """
    running, folder = deployed
    home = tmp_path_factory.mktemp("cut-off")
    install(running, home)
    with worker(running, folder) as first:
        run_id = running.start_run({**TINY, "home": str(home)})
        for one in [psutil.Process(first.pid), *wait_for_stage(run_id, 120)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        before = running.get(f"/flow_runs/{run_id}")["state"]
    return run_id, home, before, running.wait_for_run(run_id, {"CRASHED", "COMPLETED", "FAILED"}, 150)


def test_a_run_whose_computer_died_is_declared_crashed(cut_off):
    _, _, before, after = cut_off
    assert before["type"] == "RUNNING"  # nobody is left to say otherwise
    assert (after["type"], after["message"]) == ("CRASHED", "no sign of life for 75 s")


def test_it_goes_on_with_the_next_worker(cut_off, deployed):
    running, folder = deployed
    run_id, home, _, _ = cut_off
    done = running.eraflow("resume", "--home", home, "--after", 0, "--json")
    runs = json.loads(done.stdout.splitlines()[-1])["runs"]
    assert [run["flow_run_id"] for run in runs if run["rescheduled"]] == [run_id], (runs, done.stderr)
    with worker(running, folder):
        state = running.wait_for_run(run_id, {"CRASHED", "COMPLETED", "FAILED"}, 240)
    assert state["type"] == "COMPLETED", state
    assert running.states(run_id).count("Running") == 2
