"""Several slots in one week: further ensembles of the same members, each judged, held or sent by itself."""

import json
from pathlib import Path

import pytest

from eraflow.numerai.errors import NoSuchModelError
from eraflow.reports.weekreport import week_report
from eraflow.runs.runlist import find_run
from flows.command.cli import main
from flows.command.starting.summary import summary
from flows.command.terminal.printing import plain
from flows.daily import daily
from flows.weekly import weekly
from tasks.alertblock import save_webhook
from tests.weeks import receiver, tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]
MEMBER = {"params": {"n_estimators": 30, "learning_rate": 0.1}}
MODELS = [{"kind": "lightgbm", **MEMBER}, {"kind": "xgboost", **MEMBER}]
ENSEMBLES = [
    {"name": "solo", "models": ["lightgbm"], "slot": "second"},
    {"name": "flat", "neutralise": 0.5, "slot": "third"},
    {"name": "shadow", "models": ["xgboost"], "challenges": True},
]
# Of two members that are wanted, `solo` has one: it is held, and nobody else is.
SLOTS = {"submit": {"model": "eraflow"}, "models": MODELS, "ensembles": ENSEMBLES, "gate": {"min_models": 2}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def week(home, prefect_server):
    """The settings, the record, and what people were told."""
    with receiver() as inbox:
        block = save_webhook(inbox.url, "slots")
        settings = tiny(home, run_dir=str(home / "week"), alert={"block": block}, tracking={"enabled": True}, **SLOTS)
        record = weekly(settings)
    return settings, record, [message["text"] for message in inbox.messages]


def accepted(home):
    """The sandbox's own list: hashes of what it was sent, each for a slot of its own."""
    [state] = home.glob("sandbox/*/state/state.json")
    rows = json.loads(state.read_text())["submissions"]
    assert len({row["model"] for row in rows}) == len(rows)
    return [row["sha256"] for row in rows]


def test_each_slot_has_a_verdict_and_one_that_is_held_stops_no_other(week, home):
    _, record, told = week
    found = record["ensembles"]
    assert record["outcome"] == "submitted"
    assert {name: one["outcome"] for name, one in found.items()} == {
        "flat": "submitted",
        "shadow": "judged",
        "solo": "held",
    }
    assert {name: one["slot"] for name, one in found.items()} == {"flat": "third", "shadow": None, "solo": "second"}
    assert [rule["name"] for rule in found["solo"]["verdict"]["rules"] if not rule["passed"]] == ["models"]
    sent = [one["submission"]["file"]["sha256"] for one in (record, found["flat"])]
    assert len(set(sent)) == 2
    assert sorted(accepted(home)) == sorted(sent)
    assert [text for text in told if "solo" in text and "held" in text]


def test_the_ensembles_differ_as_they_were_asked_to(week):
    _, record, _ = week
    assert record["blend"]["weights"].keys() == {"lightgbm", "xgboost"}
    assert record["ensembles"]["solo"]["blend"]["weights"].keys() == {"lightgbm"}
    described = json.loads((Path(record["ensembles"]["flat"]["run_dir"]) / "blend/ensemble/ensemble.json").read_text())
    assert described["neutralise"]["proportion"] == 0.5


def test_how_alike_the_slots_are_is_told_everywhere(week):
    settings, record, _ = week
    pairs = {(pair["a"], pair["b"]): pair for pair in record["correlations"]["pairs"]}
    assert len(pairs) == 6
    near, far = pairs["main", "flat"], pairs["solo", "shadow"]
    assert 1 > near["mean"] > far["mean"] > 0
    assert near["low"] < near["mean"] < near["high"]
    assert near["live"] is not None
    text = plain(summary(record, settings, ""))
    assert all(len(line) <= 80 for line in text.splitlines() if "/" not in line)
    for told in (text, week_report(Path(record["run_dir"]), {})):
        assert "main and flat" in told
        assert f"{near['mean']:.3f}" in told


def test_a_folder_of_an_ensemble_is_read_as_that_of_a_run(week, home):
    _, record, _ = week
    folder = find_run(home, record["ensembles"]["flat"]["run_dir"])
    assert main(["show", str(folder), "--json"]) == 0


def test_a_held_ensemble_is_sent_later_by_its_name(week, home, capfd):
    _, record, _ = week
    submit = ["submit", record["run_dir"], "--ensemble", "solo", "--json"]
    assert main(submit) == 3
    assert main([*submit, "--set", "gate.min_models=1"]) == 0
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert told["submission"]["file"]["sha256"] in accepted(home)
    assert main(["submit", record["run_dir"], "--ensemble", "sola"]) == 2
    assert "flat, shadow, solo" in capfd.readouterr().err


def test_between_two_weeks_each_slot_has_its_own_champion(week, home):
    """Those of the week, and that of `solo`, which was sent later."""
    settings, before, _ = week
    record = daily(settings.model_copy(update={"run_dir": str(home / "daily")}))
    assert record["outcome"] == "submitted"
    signatures = {name: one["submission"]["ensemble_signature"] for name, one in record["ensembles"].items()}
    flat = before["ensembles"]["flat"]["submission"]["ensemble_signature"]
    assert sorted(signatures) == ["flat", "solo"]
    assert signatures["flat"] == flat != record["submission"]["ensemble_signature"]


def test_a_slot_that_the_account_does_not_have_ends_the_week_before_any_work(week, home, monkeypatch):
    settings, _, _ = week
    monkeypatch.setattr("tasks.tournament.sandbox_slots", lambda run: ("eraflow", "second"))
    with pytest.raises(NoSuchModelError, match="third"):
        weekly(settings.model_copy(update={"run_dir": str(home / "without")}))
    assert not (home / "without" / "features").exists()
