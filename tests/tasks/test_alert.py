"""One message on failure, crash and a blocked gate; none that claims to have been sent and was not."""

import logging

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.states import Failed

from eraflow.errors import SettingsError
from eraflow.settings.run import RunSettings
from tasks.alert import AlertError, parts_taken, send_alert, tell_of_trouble
from tests.weeks import receiver

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


FILLED = {"json_data": {"text": "{{subject}} | {{body}}"}}


def webhook(name, url, **fields):
    block = CustomWebhookNotificationBlock(name=name, url=url, **{"method": "POST", **(fields or FILLED)})
    block.save(name, overwrite=True)
    return f"custom-webhook/{name}"


@flow(name="failing", on_failure=[tell_of_trouble])
def failing(settings: RunSettings):
    raise SettingsError("a thing was wrong", "mend it")


@flow(name="holding", on_failure=[tell_of_trouble])
def holding(settings: RunSettings):
    return Failed(name="Held", message="the gate blocked, nothing was sent: CORR bound")


def test_a_failure_is_told_once_with_what_to_do():
    with receiver() as inbox:
        name = webhook("alert-failure", inbox.url)
        failing(RunSettings(alert={"block": name}), return_state=True)
        assert len(inbox.messages) == 1
        text = inbox.messages[0]["text"]
    assert "failing" in text
    assert "a thing was wrong" in text
    assert "mend it" in text


def test_a_blocked_gate_is_told_once():
    with receiver() as inbox:
        name = webhook("alert-held", inbox.url)
        holding(RunSettings(alert={"block": name}), return_state=True)
        assert [("held" in message["text"], "CORR bound" in message["text"]) for message in inbox.messages] == [
            (True, True)
        ]


def test_a_subject_is_told_once():
    with receiver() as inbox:
        send_alert(webhook("once-both", inbox.url), "SUBJECT", "BODY")
        send_alert(webhook("once-body", inbox.url, json_data={"text": "{{ body }}"}), "SUBJECT", "BODY")
        failing(RunSettings(alert={"block": webhook("once-flow", inbox.url)}), return_state=True)
    assert [message["text"] for message in inbox.messages[:2]] == ["SUBJECT | BODY", "SUBJECT\nBODY"]
    assert inbox.messages[2]["text"].count("Eraflow failing") == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"json_data": {}},
        {"json_data": {"text": "{{subject}}"}},
        {"json_data": {"text": "{{name}} has a message"}},
        {"json_data": {"text": "body"}, "params": {"about": "{{subject}}"}},
    ],
)
def test_a_webhook_that_leaves_the_text_out_is_no_success_and_says_how_to_fill_it_in(fields):
    with receiver() as inbox:
        block = webhook("left-out", inbox.url, **fields)
        with pytest.raises(AlertError, match="without its text") as caught:
            send_alert(block, "SUBJECT", "BODY")
        assert len(inbox.messages) == 1  # something is better than nothing
    assert "{{subject}}" in caught.value.remedy
    assert "{{body}}" in caught.value.remedy


@pytest.mark.parametrize("fields", [{"params": {"q": "{{body}}"}}, {"headers": {"x-text": "{{body}}"}}, FILLED])
def test_the_text_may_be_anywhere_in_what_a_webhook_sends(fields):
    block = CustomWebhookNotificationBlock(name="anywhere", url="http://127.0.0.1:9", **fields)
    assert "body" in parts_taken(block)


def test_a_block_that_sends_no_messages_is_named():
    Secret(value="x").save("no-messages", overwrite=True)
    with pytest.raises(AlertError, match="sends no messages"):
        send_alert("secret/no-messages", "subject", "body")


def test_a_receiver_that_refuses_is_an_error_not_a_success():
    with receiver(status=500) as inbox:
        name = webhook("alert-refused", inbox.url)
        with pytest.raises(AlertError, match="did not deliver"):
            send_alert(name, "subject", "body")


def test_the_address_of_a_webhook_is_a_secret():
    with receiver(status=404) as inbox:
        name = webhook("alert-secret", f"{inbox.url}services/SECRETTOKEN")
        with pytest.raises(AlertError) as caught:
            send_alert(name, "subject", "body")
    assert "SECRETTOKEN" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unknown_block_is_named():
    with pytest.raises(AlertError, match="custom-webhook/none"):
        send_alert("custom-webhook/none", "subject", "body")


@pytest.mark.parametrize("settings", [RunSettings(alert={"block": "custom-webhook/none"}), RunSettings()])
def test_a_run_whose_alert_cannot_be_sent_still_ends_as_it_did_and_says_so(settings, caplog):
    with caplog.at_level(logging.WARNING):
        state = failing(settings, return_state=True)
    assert state.is_failed()
    assert "a thing was wrong" in state.message
    assert "alert" in caplog.text
