"""The record of a run is what its folder tells."""

import pytest

from eraflow.errors import SettingsError
from eraflow.store import stage
from eraflow.store.atomic import write_json
from eraflow.store.weekrecord import forget_last_outcome, timed, week_record, write_outcome


def finish(folder, name, seconds):
    stage.begin(folder / name, "s")
    stage.finish(folder / name, name, "s", metrics={}, seconds=seconds, peak_mb=5.0, attempts=2, provenance={})


@pytest.mark.parametrize(
    ("verdict", "state", "error", "outcome"),
    [
        (True, {"id": "1", "status": "success"}, None, "submitted"),
        (True, None, None, "ready"),
        (True, {"id": "1"}, SettingsError("x", "y"), "failed"),
        (True, None, KeyError("z"), "failed"),
    ],
)
def test_the_outcome_follows_from_the_files(tmp_path, verdict, state, error, outcome):
    write_json(tmp_path / "gate" / "verdict.json", {"passed": verdict})
    write_json(tmp_path / "submission" / "record.json", {"state": state})
    assert write_outcome(tmp_path, error)["outcome"] == outcome


def test_a_blocked_verdict_without_submission_is_held(tmp_path):
    write_json(tmp_path / "gate" / "verdict.json", {"passed": False})
    assert week_record(tmp_path)["outcome"] == "held"


def test_an_empty_folder_is_a_failure(tmp_path):
    assert week_record(tmp_path)["outcome"] == "failed"


def test_stages_and_steps_are_listed_with_their_seconds(tmp_path):
    finish(tmp_path, "features", 3.0)
    with timed(tmp_path, "refresh"):
        pass
    stages = week_record(tmp_path)["stages"]
    assert stages["features"] == {"seconds": 3.0, "peak_mb": 5.0, "attempts": 2}
    assert stages["refresh"]["seconds"] >= 0


def test_what_an_earlier_attempt_concluded_is_forgotten_but_its_stages_are_not(tmp_path):
    finish(tmp_path, "features", 3.0)
    write_json(tmp_path / "gate" / "verdict.json", {"passed": True})
    write_json(tmp_path / "submission" / "record.json", {"state": {"id": "old"}})
    write_outcome(tmp_path, SettingsError("old", "old"))
    forget_last_outcome(tmp_path)
    record = week_record(tmp_path)
    assert record["error"] is None
    assert record["submission"] is None
    assert "features" in record["stages"]


def test_a_named_error_keeps_its_parts(tmp_path):
    error = write_outcome(tmp_path, SettingsError("what", "do"))["error"]
    assert error == {"code": "settings", "problem": "what", "remedy": "do"}
