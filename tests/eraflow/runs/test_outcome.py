"""What a run is called: its round, what came of it, and whether it was a sandbox; from the folder alone."""

import json

import pytest

from eraflow.reports.weekreport import week_report
from eraflow.runs.outcome import note_round, outcome_of, run_in_words


def folder(path, flow="weekly", kind="numerai", record=None, number=1404):
    path.mkdir(exist_ok=True)
    (path / "run.json").write_text(json.dumps({"flow": flow}))
    (path / "settings.json").write_text(json.dumps({"source": {"kind": kind}, "data": {"target": "target_ender_60"}}))
    if number is not None:
        note_round(path, number)
    if record is not None:
        (path / "record.json").write_text(json.dumps(record))
    return path


SENT = {"id": "abc", "status": "success", "already": False}
FILE = {"path": "submission.csv", "sha256": "0" * 64, "checks": [{"passed": True}]}


def submitted(**state):
    return {"outcome": "submitted", "error": None, "submission": {"state": {**SENT, **state}, "file": FILE}}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"record": submitted()}, "weekly 1404 sent"),
        ({"record": submitted(), "kind": "sandbox"}, "weekly 1404 sent (sandbox)"),
        ({"record": submitted(already=True), "flow": "daily", "number": 1405}, "daily 1405 already filed"),
        ({"record": {"outcome": "held"}}, "weekly 1404 held"),
        ({"record": {"outcome": "ready", "submission": {"state": None}}}, "weekly 1404 dry run"),
        ({"record": {"outcome": "failed", "error": {"code": "no_champion"}}, "flow": "daily"}, "daily 1404 failed"),
        ({"record": {"outcome": "failed", "error": {"code": "missing_keys"}}, "number": None}, "weekly failed"),
        ({"record": {"outcome": "failed", "error": {"code": "interrupted"}}}, "weekly 1404 interrupted"),
        ({"record": {"outcome": "submitted_with_error"}}, "weekly 1404 sent, then an error"),
        ({"record": {"outcome": "unconfirmed"}}, "weekly 1404 sent, not confirmed"),
        ({"record": {"outcome": "searched"}, "flow": "research", "number": None}, "search done"),
        ({"record": {"outcome": "a_new_one"}}, "weekly 1404 a new one"),
        ({}, "weekly 1404 unfinished"),
    ],
)
def test_the_name_tells_round_and_outcome(tmp_path, given, name):
    assert outcome_of(folder(tmp_path, **given)).name == name


def test_as_long_as_there_is_no_record_the_name_says_what_it_is_told(tmp_path):
    assert outcome_of(folder(tmp_path, number=None), "running").name == "weekly running"
    assert outcome_of(folder(tmp_path), "running").name == "weekly 1404 running"


@pytest.mark.parametrize("text", ["", "torn {", "[1]", "null"])
def test_a_folder_whose_files_cannot_be_read_has_a_name_and_a_report_all_the_same(tmp_path, text):
    for name in ("run.json", "settings.json", "record.json", "round.json"):
        (tmp_path / name).write_text(text)
    assert outcome_of(tmp_path).name == "run unfinished"
    assert week_report(tmp_path, {}).startswith("# Run: unfinished")


def test_what_was_accepted_and_sent_before_is_no_error():
    assert run_in_words({**submitted(already=True), "error": None}) == "already filed"
    assert run_in_words({"outcome": "submitted", "submission": None}) == "sent"


def metric(mean, eras):
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "sharpe": 0.5, "eras": eras}


def test_the_report_says_outcome_members_gate_what_was_sent_and_where_there_is_more(tmp_path):
    curve = {"eras": ["0001", "0002"], "values": [0.01, None]}
    scores = {name: {"per_era": dict.fromkeys(("corr", "mmc", "bmc"), curve)} for name in ("lightgbm", "blend")}
    (tmp_path / "backtest").mkdir()
    (tmp_path / "backtest" / "scores.json").write_text(json.dumps(scores))
    summary = {"corr": metric(0.03, 200), "mmc": metric(0.01, 90), "bmc": metric(0.002, 200)}
    rule = {"passed": True, "judged": True, "text": "mean CORR +0.03"}
    record = {
        **submitted(),
        "scores": {"blend": summary, "lightgbm": summary},
        "members": {"lightgbm": {"learns": "target_ender_60"}},
        "verdict": {"passed": True, "rules": [rule, {**rule, "judged": False, "text": "the champion"}]},
        "lost_models": {"mlp": {"problem": "NaN", "remedy": "a lower rate"}},
        "seconds": 90,
    }
    page = week_report(folder(tmp_path, kind="sandbox", record=record), {"models": "http://x/models"})
    places = [page.index(part) for part in ("# Weekly, round 1404: sent", "sandbox", "went on without", "## Sent",
              "Submission `abc`", "## Members", "Cumulative CORR", "Cumulative MMC", "Cumulative BMC",
              "## Gate: passed", "not judged: the champion", "[models](http://x/models)", str(tmp_path))]  # fmt: skip
    assert places == sorted(places)
    assert page.count("data:image/png;base64,") == 3
    assert page.index("| lightgbm") < page.index("| blend")


def test_a_run_that_failed_says_why_and_what_to_do(tmp_path):
    error = {"code": "disk_full", "problem": "no space", "remedy": "free 3 GB"}
    page = week_report(folder(tmp_path, record={"outcome": "failed", "error": error}), {})
    assert "**disk_full**: no space" in page
    assert "free 3 GB" in page
    assert "Nothing was sent" in page
