"""A run that ended well is told of where that is wanted, with round, scores and what was sent; the switch is called."""

import json
import logging

import pytest
from prefect import flow

from eraflow.runs.outcome import note_round
from tasks import success
from tasks.roundcheck import compare_round
from tasks.run import open_run
from tasks.success import tell_of_success
from tests.eraflow.runs.test_outcome import metric, submitted
from tests.tasks.test_alert import webhook
from tests.weeks import receiver, tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


@flow(name="weekly", on_completion=[tell_of_success])
def ended(settings, record):
    with open_run(settings, "weekly") as run:
        note_round(run.path, 1404)
        (run.path / "record.json").write_text(json.dumps(record))


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(success, "ping", lambda block, logger: made.append(block))
    return made


SCORES = {"blend": {"corr": metric(0.0312, 200), "mmc": metric(0.0123, 90), "bmc": metric(0.002, 200)}}


def test_success_is_told_with_round_scores_what_was_sent_and_a_link(tmp_path, calls):
    with receiver() as inbox:
        alert = {"block": webhook("success", inbox.url), "on_success": True}
        ended(tiny(tmp_path, alert=alert), {**submitted(), "scores": SCORES})
    (text,) = (message["text"] for message in inbox.messages)
    for part in ("weekly 1404 sent (sandbox)", "0.0312", "MMC 0.0123", "submission abc", "/runs/flow-run/", "runs/"):
        assert part in text
    assert calls == [None]


@pytest.mark.parametrize(
    ("record", "called"),
    [
        (submitted(already=True), 1),
        ({"outcome": "ready", "submission": {"state": None, "file": {"path": "x", "sha256": "y"}}}, 0),
        ({"outcome": "held"}, 0),
        ({"outcome": "unconfirmed"}, 0),
    ],
)
def test_the_switch_is_called_for_what_was_filed_and_nothing_else(tmp_path, calls, record, called):
    ended(tiny(tmp_path, alert={"ping_url": "secret/switch"}), record)
    assert calls == ["secret/switch"] * called


def test_success_is_not_told_unless_it_is_wanted(tmp_path, calls):
    with receiver() as inbox:
        ended(tiny(tmp_path, alert={"block": webhook("quiet", inbox.url)}), submitted())
    assert inbox.messages == []


class Offers:
    """A tournament that offers files."""

    def __init__(self, *names):
        self.names = names

    def list_files(self):
        return list(self.names)


@flow
def compared(settings, found, tournament):
    with open_run(settings, "weekly") as run:
        return compare_round(run, tournament, found)


def test_a_round_that_differs_is_a_warning_each_time_and_a_message_once(tmp_path, caplog):
    from eraflow.numerai.rounds import Round
    from tests.eraflow.numerai.test_roundcheck import NOW

    offers = Offers("v5.4/live.parquet")
    with receiver() as inbox, caplog.at_level(logging.WARNING):
        settings = tiny(tmp_path, alert={"block": webhook("differs", inbox.url)})
        for number in (1404, 1405):
            assert len(compared(settings, Round(number, NOW, NOW, True, "target_ender_60"), offers)) == 2
        assert len(inbox.messages) == 1
        compared(settings, Round(1406, NOW, NOW, True, "target_cyrusd_60"), offers)
    assert caplog.text.count("data version v5.4 is offered") >= 3
    assert ["target_ender_60" in message["text"] for message in inbox.messages] == [True, False]
    assert "target_cyrusd_60" in inbox.messages[1]["text"]
