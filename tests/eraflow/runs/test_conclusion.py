"""What a run's folder concluded, and that nobody writes into one that did."""

import pytest

from eraflow.disk.atomic import write_json
from eraflow.runs.conclusion import (
    RunConcludedError,
    accepted_submission,
    check_outside_of_concluded,
    check_unfinished,
    conclusion,
)

SUCCESS = {"state": {"status": "success"}, "round_number": 1404}


@pytest.mark.parametrize("outcome", ["submitted", "ready", "held", "searched"])
def test_an_ended_run_says_how_and_is_closed(outcome, tmp_path):
    write_json(tmp_path / "record.json", {"outcome": outcome})
    assert conclusion(tmp_path) == outcome
    with pytest.raises(RunConcludedError, match=outcome):
        check_unfinished(tmp_path)


@pytest.mark.parametrize("outcome", ["failed", "unconfirmed", "submitted_with_error", None, 7])
def test_an_unfinished_run_may_be_continued(outcome, tmp_path):
    write_json(tmp_path / "record.json", {"outcome": outcome})
    assert conclusion(tmp_path) is None
    check_unfinished(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 5000, "null"])
def test_a_torn_record_concludes_nothing(text, tmp_path):
    (tmp_path / "record.json").write_text(text)
    assert conclusion(tmp_path) is None


@pytest.mark.parametrize("outcome", ["held", "ready"])
def test_what_was_sent_later_makes_it_submitted(outcome, tmp_path):
    write_json(tmp_path / "record.json", {"outcome": outcome})
    write_json(tmp_path / "sent" / "record.json", {"state": None})
    assert conclusion(tmp_path) == outcome
    assert accepted_submission(tmp_path) is None
    write_json(tmp_path / "sent" / "record.json", SUCCESS)
    assert conclusion(tmp_path) == "submitted"
    assert accepted_submission(tmp_path) == SUCCESS


def test_a_path_anywhere_within_an_ended_run_is_refused_and_beside_it_is_not(tmp_path):
    run = tmp_path / "run"
    write_json(run / "record.json", {"outcome": "submitted"})
    for path in (run, run / "submission" / "submission.csv", run / "deep" / "er"):
        with pytest.raises(RunConcludedError, match="choose a place outside"):
            check_outside_of_concluded(path)
    check_outside_of_concluded(tmp_path / "run.csv")
