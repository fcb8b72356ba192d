"""From deployments that are paused to schedules that a person switched on, and off again; against a real server."""

import json

import pytest

from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from tests.deployments.serverworker import worker
from tests.weeks import receiver, tiny

pytestmark = [pytest.mark.server, pytest.mark.slow]
NAMES = ("weekly", "daily", "insurance")


def told(running, home, *arguments):
    """Exit code and record."""
    done = running.eraflow("go-live", "--home", home, "--json", *arguments)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def deployment(running, name):
    return running.get(f"/deployments/{running.deployment_id(name)}")


@pytest.fixture
def off(deployed, tmp_path):
    """The server with both schedules off; afterwards they are as other tests expect them."""
    running, folder = deployed
    before = {name: deployment(running, name)["parameters"] for name in NAMES}
    code, record, _ = told(running, tmp_path, "--pause")
    assert (code, record["live"]) == (0, False)
    assert all(deployment(running, name)["paused"] for name in NAMES)
    yield running, folder
    for name in NAMES:
        change = {"paused": False, "parameters": before[name]}
        running.patch(f"/deployments/{running.deployment_id(name)}", change)


def test_where_a_week_would_fail_nothing_is_switched_on(off, tmp_path):
    running, _ = off
    code, record, _ = told(running, tmp_path, "--yes", "--model", "mine", "--api", "http://127.0.0.1:9")
    assert (code, record["live"]) == (1, False)
    failed = {check["name"] for check in record["checks"] if check["state"] == "failed"}
    assert failed & {"numerai keys", "keys online"}  # another test may have saved keys, which nobody here accepts
    assert all(deployment(running, name)["paused"] for name in NAMES)
    assert "submit" not in deployment(running, "weekly")["parameters"]["settings"]


def test_with_worker_keys_slot_and_webhook_it_is_live_and_an_alert_has_arrived(off, tmp_path):
    running, folder = off
    generate(tmp_path / "data", tiny(tmp_path).sandbox, version="v5.3")
    with sandbox(tmp_path / "data", tmp_path / "state") as api, receiver() as inbox, worker(running, folder):
        running.env.update({"NUMERAI_PUBLIC_ID": api.public_id, "NUMERAI_SECRET_KEY": api.secret_key})
        try:
            wrong, _, _ = told(running, tmp_path, "--yes", "--model", "nobodys", "--api", api.url)
            assert wrong == 1
            given = ("--yes", "--model", "eraflow", "--webhook", inbox.url, "--on-success", "--api", api.url)
            code, record, everything = told(running, tmp_path, *given)
        finally:
            running.env.pop("NUMERAI_PUBLIC_ID")
            running.env.pop("NUMERAI_SECRET_KEY")
    assert (code, record["live"]) == (0, True), record
    assert "Saturday" in record["schedules"]["weekly"]
    assert ["a test" in message["text"] and "Nothing is wrong" in message["text"] for message in inbox.messages] == [
        True
    ]
    for name in NAMES:
        found = deployment(running, name)
        settings = found["parameters"]["settings"]
        assert not found["paused"]
        assert settings["submit"] == {"model": "eraflow"}
        assert settings["alert"]["block"] == "custom-webhook/alert"
        assert settings["home"] == str(tmp_path)
    assert api.secret_key not in everything
    assert inbox.url not in everything
