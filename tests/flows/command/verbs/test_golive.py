"""What go-live asks, what it takes from options and from before, and what it refuses; no server."""

import argparse

import pytest

from eraflow.errors import SettingsError
from flows.command.cli import main
from flows.command.verbs import golive, golive_checks
from flows.command.verbs.golive import Choices, add, choose
from flows.command.verbs.golive_checks import keys_and_slot, slot


def options(*given):
    top = argparse.ArgumentParser()
    add(top.add_subparsers())
    return top.parse_args(["go-live", *given])


STORED = {
    "profile": "workstation",
    "submit": {"model": "mine"},
    "source": {"keys_block": "my-keys"},
    "alert": {"block": "slack-webhook/x", "on_success": True, "ping_url": "secret/switch"},
}


def test_without_options_and_questions_what_was_stored_stays():
    chosen = choose(options("--yes"), STORED)
    assert (chosen.profile, chosen.model, chosen.keys_block) == ("workstation", "mine", "my-keys")
    assert (chosen.alert, chosen.on_success, chosen.ping) == ("slack-webhook/x", True, "secret/switch")
    assert choose(options("--yes"), {}) == Choices("laptop", None, "numerai-keys", False, None, False, None)


def test_an_option_wins_over_what_was_stored_and_is_remembered():
    given = options(
        "--yes", "--model", "other", "--keys-block", "k", "--alert", "custom-webhook/y", "--profile", "laptop"
    )
    chosen = choose(given, STORED)
    assert (chosen.profile, chosen.model, chosen.keys_block, chosen.alert) == (
        "laptop",
        "other",
        "k",
        "custom-webhook/y",
    )
    assert chosen.only_block
    again = choose(options("--yes"), chosen.to_remember("laptop"))
    assert again.as_settings(None) == chosen.as_settings(None)
    assert "profile" not in chosen.to_remember(None)


@pytest.mark.parametrize("there", [None, "custom-webhook/alert"])
def test_at_a_terminal_it_asks_for_what_is_not_known_and_keeps_the_block_that_eraflow_alert_made(monkeypatch, there):
    from tasks import alertblock

    monkeypatch.setattr(alertblock, "saved_webhook", lambda name: there)
    asked = []

    def answer(question):
        asked.append(question)
        return "typed" if "slot" in question else ""

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("getpass.getpass", answer)
    monkeypatch.setenv("NUMERAI_PUBLIC_ID", "P")
    monkeypatch.setenv("NUMERAI_SECRET_KEY", "S")
    chosen = choose(options(), {})
    assert (chosen.model, chosen.alert) == ("typed", there)
    assert (there or "nobody is told") in asked[1]
    assert ["slot" in question for question in asked] == [True, False]
    assert choose(options("--model", "named", "--alert", "custom-webhook/z"), {}).model == "named"
    assert len(asked) == 2


def test_where_nobody_can_be_asked_it_says_so(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(SettingsError, match="no terminal") as caught:
        choose(options(), {})
    assert "--yes" in caught.value.remedy


@pytest.mark.parametrize(
    ("model", "models", "state"),
    [("a", ["a", "b"], "ok"), ("c", ["a", "b"], "failed"), (None, ["a"], "ok"), (None, ["a", "b"], "failed"),
     (None, [], "failed"), ("a", [], "failed")],
)  # fmt: skip
def test_it_must_be_certain_which_slot_is_sent_to(model, models, state):
    assert slot(model, models).state == state


@pytest.mark.parametrize("only_block", [True, False])
def test_keys_that_only_this_shell_knows_are_a_warning_and_none_is_a_failure(monkeypatch, only_block):
    from tasks import keys as module

    monkeypatch.setattr(module, "_from_block", lambda name: None)
    monkeypatch.setattr(golive_checks.os, "environ", {"NUMERAI_PUBLIC_ID": "P", "NUMERAI_SECRET_KEY": "S3CRET"})
    chosen = Choices("laptop", None, "numerai-keys", only_block, None, False, None)
    first, *others = list(keys_and_slot(chosen, "http://127.0.0.1:9"))
    assert first.state == ("failed" if only_block else "warning")
    assert [check.state for check in others] == ([] if only_block else ["failed"])
    assert not any("S3CRET" in check.line() for check in (first, *others))


def test_without_a_server_it_says_how_to_start_one_and_changes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(golive, "prepare", lambda home: "")
    assert main(["go-live", "--yes", "--home", str(tmp_path)]) != 0
    assert f"eraflow server --home {tmp_path}" in capsys.readouterr().err
    assert main(["alert", "--webhook", "http://127.0.0.1:9", "--home", str(tmp_path)]) != 0


@pytest.mark.parametrize(
    ("url", "field"),
    [("https://hooks.slack.com/services/x", "text"), ("https://discord.com/api/webhooks/x", "content")],
)
def test_a_webhook_is_filled_in_as_its_receiver_takes_it(url, field, monkeypatch):
    from tasks import alertblock

    saved = []
    monkeypatch.setattr(
        alertblock.CustomWebhookNotificationBlock, "save", lambda self, name, overwrite: saved.append(self.json_data)
    )
    assert alertblock.save_webhook(url, "alert") == "custom-webhook/alert"
    assert list(saved[0]) == [field]
    assert "{{subject}}" in saved[0][field]
    assert "{{body}}" in saved[0][field]


@pytest.mark.parametrize(
    ("url", "name"),
    [("", "alert"), ("hooks.slack.com/x", "alert"), ("file:///x", "alert"), ("http://[", "alert"), ("https://", "a"),
     ("https://x.example/y", "My Alert"), ("https://x.example/y", "")],
)  # fmt: skip
def test_what_is_no_address_or_no_name_is_refused(url, name):
    from tasks.alertblock import save_webhook

    with pytest.raises(SettingsError):
        save_webhook(url, name)


@pytest.mark.parametrize(
    ("there", "typed", "saved"),
    [
        (None, ["P", "S"], {"PUBLIC_ID": "P", "SECRET_KEY": "S"}),
        (("WRONG", "BAD"), ["P", "S"], {"PUBLIC_ID": "P", "SECRET_KEY": "S"}),
        (("P", "S"), [""], None),
        (None, ["P", ""], None),
    ],
)
def test_keys_that_were_mistyped_can_be_typed_again(monkeypatch, there, typed, saved):
    from prefect.blocks.system import Secret

    from tasks import keys as module

    kept, answers = [], iter(typed)
    monkeypatch.setattr(golive.os, "environ", {})
    monkeypatch.setattr(module, "_from_block", lambda name: there)
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    monkeypatch.setattr("getpass.getpass", lambda question: next(answers))
    monkeypatch.setattr(Secret, "save", lambda self, name, overwrite: kept.append((name, self.get())))
    assert golive._keys("my-keys", asked=True) == "my-keys"
    assert kept == ([("my-keys", saved)] if saved else [])
    assert next(answers, None) is None
