"""The road of a participant who lets it run every week: server, deployments, schedules, worker, runs, alerts."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.deployments.serverworker import ROOT, SAVE_BLOCK
from tests.weeks import TINY, receiver, tiny

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_scheduled_runs_appear_for_all_scheduled_deployments(road):
    """With a wrong sqlalchemy the scheduler stays silent for ever and manual runs still work."""
    running, _ = road
    times = {running.deployment_id(name): "12:00" for name in ("daily", "insurance")}
    times[running.deployment_id("weekly")] = "04:00"
    deadline = time.monotonic() + 60
    while True:
        runs = running.post("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
        scheduled = [run for run in runs if run["auto_scheduled"]]
        if times.keys() <= {run["deployment_id"] for run in scheduled}:
            break
        assert time.monotonic() < deadline, runs
        time.sleep(1)
    assert running.deployment_id("sandbox") not in {run["deployment_id"] for run in scheduled}
    assert {run["deployment_id"]: run["expected_start_time"][11:16] for run in scheduled} == times


def test_a_run_from_the_command_line_finishes(road):
    running, folder = road
    settings = {**TINY, "home": str(folder / "home"), "run_dir": str(folder / "cli-run")}
    told = running.prefect("deployment", "run", "weekly/sandbox", "-p", f"settings={json.dumps(settings)}")
    assert "Created flow run" in told
    made = [run for run in running.post("/flow_runs/filter") if run["id"] in told]  # the command prints its id
    assert len(made) == 1, told
    state = running.wait_for_run(made[0]["id"], {"COMPLETED", "FAILED", "CRASHED"}, 300)
    assert state["type"] == "COMPLETED", state
    assert json.loads((folder / "cli-run" / "record.json").read_text())["outcome"] == "submitted"
    keys = {artifact["key"] for artifact in running.post("/artifacts/filter")}
    assert {"cumulative-corr", "models", "verdict", "submission", "attempts-train-lightgbm"} <= keys


def test_a_run_from_the_form_with_every_field_filled_in_finishes(road):
    """The form in the UI sends the settings whole; this is the request that it makes."""
    running, folder = road
    filled = json.loads(tiny(folder / "home", run_dir=str(folder / "form-run")).model_dump_json())
    made = running.post(
        f"/deployments/{running.deployment_id('sandbox')}/create_flow_run",
        {"parameters": {"settings": filled}, "state": {"type": "SCHEDULED"}},
    )
    state = running.wait_for_run(made["id"], {"COMPLETED", "FAILED", "CRASHED"}, 300)
    assert state["type"] == "COMPLETED", state
    assert json.loads((folder / "form-run" / "record.json").read_text())["outcome"] == "submitted"


def test_the_form_knows_every_setting_and_its_meaning(road):
    running, _ = road
    schema = running.get(f"/deployments/{running.deployment_id('weekly')}")["parameter_openapi_schema"]
    definitions = schema["definitions"]
    assert {"windows", "gate", "machine", "data"} <= set(definitions["RunSettings"]["properties"])
    assert definitions["GateSettings"]["properties"]["on_block"]["enum"] == ["hold", "champion"]
    assert definitions["GateSettings"]["properties"]["corr_bound"]["description"]


def test_a_killed_flow_process_is_told_and_its_children_end(road):
    running, folder = road
    with receiver() as inbox:
        subprocess.run([sys.executable, "-c", SAVE_BLOCK, inbox.url], env=running.env, cwd=ROOT, check=True)
        settings = {
            **TINY,
            "home": str(folder / "home"),
            "run_dir": str(folder / "killed"),
            "alert": {"block": "custom-webhook/alert"},
        }
        settings["models"] = [{"kind": "lightgbm", "params": {"n_estimators": 5000}}]
        made = running.post(
            f"/deployments/{running.deployment_id('sandbox')}/create_flow_run",
            {"parameters": {"settings": settings}, "state": {"type": "SCHEDULED"}},
        )
        child = wait_for_child("train_model", 120)
        flow = flow_process(child)
        os.kill(flow.pid, signal.SIGKILL)
        state = running.wait_for_run(made["id"], {"CRASHED"}, 60)
        deadline = time.monotonic() + 60
        while not inbox.messages and time.monotonic() < deadline:
            time.sleep(0.5)
        _, alive = psutil.wait_procs([child], timeout=15)
        assert alive == []
    assert state["type"] == "CRASHED"
    assert ["crashed" in message["text"].lower() for message in inbox.messages] == [True]


def test_a_week_that_the_gate_holds_is_red_told_once_and_leaves_no_traceback(road):
    running, folder = road
    with receiver() as inbox:
        subprocess.run([sys.executable, "-c", SAVE_BLOCK, inbox.url], env=running.env, cwd=ROOT, check=True)
        settings = {
            **TINY,
            "home": str(folder / "home"),
            "run_dir": str(folder / "held"),
            "gate": {**TINY["gate"], "corr_bound": 0.9},
            "alert": {"block": "custom-webhook/alert"},
        }
        run_id = running.start_run(settings)
        state = running.wait_for_run(run_id, {"COMPLETED", "FAILED", "CRASHED"}, 300)
        time.sleep(4)  # the process ends, its worker looks at it, the last lines of the log arrive
    assert (state["type"], state["name"]) == ("FAILED", "Held")
    assert running.states(run_id)[-1] == "Held"
    assert f"eraflow submit {folder / 'held'} --set gate.corr_bound=null" in state["message"]
    told = [message["text"] for message in inbox.messages]
    assert len(told) == 1
    assert "eraflow submit" in told[0]
    lines = running.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}, "limit": 200})
    assert any("gate_blocked" in line["message"] for line in lines)
    assert not [line["message"] for line in lines if "Traceback" in line["message"]]
    assert "GateBlockedError" not in (folder / "worker.log").read_text()
    assert (folder / "held" / "submission" / "submission.csv").exists()


def wait_for_child(function, seconds):
    """The stage's child process that runs `function`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if "eraflow.machine.child" in command and names_function(command, function):
                return process
        time.sleep(0.2)
    raise AssertionError(f"no child runs {function}")


def names_function(command, function):
    folder = command[command.index("eraflow.machine.child") + 1]
    try:
        with open(os.path.join(folder, "spec.json"), encoding="utf-8") as handle:
            return function in handle.read() and "killed" in folder
    except OSError:
        return False


def flow_process(child):
    """The process that runs the flow: the stage's parent."""
    return psutil.Process(child.pid).parent()
