"""Crashes that no hook tells of: once each, and again until the message has arrived."""

from datetime import UTC, datetime

import pytest
from prefect.client.schemas.objects import State, StateType

from tasks import crashalerts
from tasks.alert import AlertError
from tasks.crashalerts import tell_of_crashes
from tasks.recovery.reconcile import NO_SIGN_OF_LIFE, ResumeSettings, reconcile
from tests.tasks.recovery.test_reconcile import NOW, Server, run

SETTINGS = ResumeSettings()
WITH_BLOCK = {"settings": {"alert": {"block": "custom-webhook/alert"}}}


def crashed(message, count=1, parameters=WITH_BLOCK):
    one = run(count=count, parameters=parameters)
    one.state = State(type=StateType.CRASHED, name="Crashed", timestamp=one.state.timestamp, message=message)
    return one


@pytest.fixture
def sent(monkeypatch):
    messages = []
    monkeypatch.setattr(crashalerts, "send_alert", lambda block, subject, body: messages.append((block, subject, body)))
    return messages


def test_a_dead_computer_is_told_of_once(sent, tmp_path):
    decisions = reconcile(Server([crashed(f"{NO_SIGN_OF_LIFE} for 75 s")]), SETTINGS, NOW)
    assert tell_of_crashes(decisions, tmp_path) == tell_of_crashes(decisions, tmp_path) == []
    ((block, subject, body),) = sent
    assert (block, subject) == ("custom-webhook/alert", "Eraflow weekly: crashed, goes on")
    assert "no sign of life" in body


def test_a_run_that_is_given_up_is_told_of(sent, tmp_path):
    tell_of_crashes(reconcile(Server([crashed("killed", count=3)]), SETTINGS, NOW), tmp_path)
    ((_, subject, body),) = sent
    assert subject == "Eraflow weekly: crashed, given up"
    assert "started 3 times" in body
    assert "Retry" in body


@pytest.mark.parametrize(
    "one",
    [
        crashed("flow run process exited with status code -9"),  # its worker has told it
        crashed(f"{NO_SIGN_OF_LIFE} for 75 s", parameters={}),  # nobody to tell
        run(crashed=5, parameters=WITH_BLOCK),  # not decided yet
    ],
)
def test_what_was_told_or_is_not_decided_is_not_told(sent, tmp_path, one):
    tell_of_crashes(reconcile(Server([one]), SETTINGS, datetime(2026, 11, 21, 12, tzinfo=UTC)), tmp_path)
    assert sent == []


def test_a_message_that_did_not_arrive_is_sent_again(sent, tmp_path, monkeypatch):
    decisions = reconcile(Server([crashed(f"{NO_SIGN_OF_LIFE} for 75 s")]), SETTINGS, NOW)

    def refuse(*_):
        raise AlertError("did not deliver", "check the network")

    with monkeypatch.context() as patch:
        patch.setattr(crashalerts, "send_alert", refuse)
        assert len(tell_of_crashes(decisions, tmp_path)) == 1
    assert tell_of_crashes(decisions, tmp_path) == []
    assert len(sent) == 1


def test_a_damaged_memory_costs_a_second_message_and_nothing_else(sent, tmp_path):
    (tmp_path / "told.json").write_text("{")
    decisions = reconcile(Server([crashed(f"{NO_SIGN_OF_LIFE} for 75 s")]), SETTINGS, NOW)
    assert tell_of_crashes(decisions, tmp_path) == []
    assert len(sent) == 1
