"""`eraflow doctor` against a real server: worker, schedules, automation, alert and Secret block, each good and bad."""

import json
import subprocess
import sys
import time

import pytest

from tests.deployments.serverworker import ROOT, SAVE_BLOCK, worker
from tests.weeks import receiver

pytestmark = [pytest.mark.server, pytest.mark.slow]
SAVE_KEYS = """
from prefect.blocks.system import Secret
Secret(value={"PUBLIC_ID": "PUB", "SECRET_KEY": "S3CRET"}).save("numerai-keys", overwrite=True)
"""


def examined(running, home, *arguments):
    """Checks by name, and everything that was printed."""
    done = running.eraflow("doctor", "--home", home, "--api", "http://127.0.0.1:9", "--json", *arguments)
    record = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == (0 if record["healthy"] else 1)
    return {check["name"]: check for check in record["checks"]}, done.stdout + done.stderr


def python(running, code, *arguments):
    subprocess.run([sys.executable, "-c", code, *arguments], env=running.env, cwd=ROOT, check=True, timeout=60)


def until_scheduled(running):
    """The scheduler looks once a minute: right after a deployment there may be nothing yet."""
    deadline = time.monotonic() + 90
    while True:
        runs = running.post("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
        scheduled = {run["deployment_id"] for run in runs if run["auto_scheduled"]}
        if {running.deployment_id("weekly"), running.deployment_id("daily")} <= scheduled:
            return
        assert time.monotonic() < deadline, "the scheduler scheduled nothing"
        time.sleep(1)


def test_what_is_missing_is_named_and_what_is_there_is_ok(deployed, tmp_path):
    running, _ = deployed
    for found in running.post("/automations/filter"):
        running.prefect("automation", "delete", "--id", found["id"])
    until_scheduled(running)
    found, _ = examined(running, tmp_path)
    states = {name: found[name]["state"] for name in ("prefect", "worker", "heartbeat watch", "alert")}
    assert states == {"prefect": "ok", "worker": "failed", "heartbeat watch": "warning", "alert": "warning"}
    assert "3.8.8" in found["prefect"]["found"]
    assert "prefect worker start" in found["worker"]["remedy"]
    assert found["schedule weekly"]["state"] == found["schedule daily"]["state"] == "ok"
    assert "Saturday" in found["schedule weekly"]["found"]


def test_with_worker_automation_and_keys_it_is_healthy(deployed, tmp_path):
    running, folder = deployed
    python(running, SAVE_KEYS)
    assert running.eraflow("resume", "--install", "--home", tmp_path).returncode == 0
    with worker(running, folder) as _:
        for _ in range(20):
            found, told = examined(running, tmp_path)
            if found["worker"]["state"] == "ok":
                break
    assert {found[name]["state"] for name in ("worker", "heartbeat watch", "numerai keys")} == {"ok"}
    assert "heartbeat" in found["worker"]["found"]
    assert "Secret block" in found["numerai keys"]["found"]
    assert "S3CRET" not in told


def test_a_paused_pool_is_named(deployed, tmp_path):
    running, _ = deployed
    running.prefect("work-pool", "pause", "eraflow")
    try:
        found, _ = examined(running, tmp_path)
    finally:
        running.prefect("work-pool", "resume", "eraflow")
    assert "paused" in found["worker"]["found"]


def test_the_alert_block_is_proved_by_sending(deployed, tmp_path):
    running, _ = deployed
    with receiver() as inbox:
        python(running, SAVE_BLOCK, inbox.url)
        found, _ = examined(running, tmp_path, "--alert", "custom-webhook/alert")
        assert ["a test" in message["text"] for message in inbox.messages] == [True]
    assert found["alert"]["state"] == "ok"
    found, told = examined(running, tmp_path, "--alert", "custom-webhook/alert")  # nobody receives any more
    assert found["alert"]["state"] == "failed"
    assert inbox.url not in told
    found, _ = examined(running, tmp_path, "--alert", "custom-webhook/unknown")
    assert "no notification block" in found["alert"]["found"]


def test_a_block_that_a_deployment_names_is_tried_by_itself(deployed, tmp_path):
    running, _ = deployed
    weekly = running.deployment_id("weekly")
    named = {"settings": {"profile": "laptop", "alert": {"block": "custom-webhook/alert"}}}
    running.patch(f"/deployments/{weekly}", {"parameters": named})
    try:
        with receiver() as inbox:
            python(running, SAVE_BLOCK, inbox.url)
            found, _ = examined(running, tmp_path)
            assert len(inbox.messages) == 1
    finally:
        running.patch(f"/deployments/{weekly}", {"parameters": {"settings": {"profile": "laptop"}}})
    assert found["alert"]["state"] == "ok"
