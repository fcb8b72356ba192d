"""The page of a search, its charts and its record: they show what was found, and claim no more."""

import base64
import json
import re

import pytest

from eraflow.reports.searchcharts import course_chart, importance_chart
from eraflow.runs import stage
from eraflow.runs.searchrecord import search_record, write_search_outcome
from eraflow.runs.weekrecord import forget_last_outcome, note_stage, week_record
from flows.command.terminal.printing import plain
from flows.command.verbs.search_summary import search_summary
from tasks.pages.searchpage import search_in_words, search_page
from tasks.searchtracking import _child
from tests.weeks import tiny


def line(trial, value, origin="sampled", **over):
    return {
        "trial": trial,
        "state": "pruned" if value is None else "complete",
        "origin": origin,
        "params": {} if origin == "defaults" else {"max_depth": 3 + trial},
        "value": value,
        "score": value,
        "corr": value,
        "training_corr": None if value is None else value + 0.1,
        "length": None if value is None else 100,
        "pressure": 0.25 * trial,
        "penalty": 0.1,
        "floor": 0.0,
        "reported": {"0": 0.01, "1": 0.02},
        "note": "behind" if value is None else "",
        **over,
    }


def row(label, mean, verdict=None):
    against = {"difference": mean - 0.03, "low": -0.01, "high": 0.02, "verdict": verdict}
    return {
        "label": label,
        "params": {},
        "length": None,
        "value": 0.03,
        "mean": mean,
        "low": 0.01,
        "high": None,
        "against_defaults": against if verdict else None,
    }


@pytest.fixture
def report():
    return {
        "name": "lightgbm",
        "kind": "lightgbm",
        "key": "k",
        "study": "lightgbm-k-1",
        "kept": "searched",
        "winner": 1,
        "params": {"max_depth": 5},
        "trials": 3,
        "eras": {"first": "0100", "last": "0150", "count": 51},
        "confirmation": [row("defaults", 0.03), row("trial 2", 0.034, "not distinguishable")],
        "objective": {"name": "corr", "against": None, "penalty": 0.1},
        "importance": {"max_depth": 0.8, "learning_rate": 0.2},
        "space": [{"parameter": "max_depth", "from": 3, "to": 8, "log": False, "why": "interactions | order"}],
        "course": [line(1, 0.03, "defaults"), line(2, 0.034), line(3, None)],
    }


def test_the_page_says_what_may_be_claimed_and_shows_course_and_importance(report):
    page = search_page(report)
    assert "trial 2 is kept, +0.0040 against the defaults (-0.0100 to 0.0200): not distinguishable" in page
    pictures = [base64.b64decode(one) for one in re.findall(r"data:image/png;base64,([^)]+)", page)]
    assert len(pictures) == 2
    assert all(one.startswith(b"\x89PNG") and len(one) < 60_000 for one in pictures)
    assert "| 2 | 0.0340 | 0.0340 | 0.1340 | 100 | 5 |" in page
    assert "default" in page
    kept = {**report, "kept": "defaults", "winner": 0}
    assert "the defaults are kept" in search_in_words(kept)


def test_charts_without_anything_to_draw_say_so(report):
    assert course_chart([line(1, None, reported={})], title="none") != course_chart(report["course"], title="none")
    assert importance_chart({}, title="none").startswith(b"\x89PNG")


def test_a_trial_becomes_a_run_of_mlflow(report):
    complete, given_up = (_child(one, [1.5, 2.5]) for one in report["course"][1:])
    assert complete.metrics["seconds"] == 2.5
    assert (complete.status, complete.params) == ("FINISHED", {"max_depth": 5})
    assert (given_up.status, given_up.metrics["seconds"], given_up.metrics["value"]) == ("KILLED", None, None)
    assert given_up.curve == {0: 0.01, 1: 0.02}


def finish(run_dir, report):
    folder = run_dir / "search-lightgbm"
    stage.begin(folder, "s")
    (folder / "search.json").write_text(json.dumps(report))
    stage.finish(folder, "search-lightgbm", "s", metrics={}, seconds=1.0, peak_mb=1.0, attempts=1, provenance={})
    note_stage(run_dir, "search-lightgbm")


def test_the_record_is_read_from_the_folder(tmp_path, report):
    forget_last_outcome(tmp_path)
    assert search_record(tmp_path)["outcome"] == "failed"
    finish(tmp_path, report)
    record = write_search_outcome(tmp_path)
    assert record["outcome"] == "searched"
    assert record["search"]["lightgbm"]["params"] == {"max_depth": 5}
    assert json.loads((tmp_path / "record.json").read_text()) == record
    assert record["seconds"] is not None
    assert week_record(tmp_path)["outcome"] == "failed"  # nothing was submitted
    told = " ".join(plain(search_summary(record, tiny(tmp_path), "")).split())
    assert "not distinguishable" in told
    assert "lightgbm:tuned" in told
