"""The record of a run is what its folder tells."""

import pytest

from eraflow.disk.atomic import write_json
from eraflow.errors import SettingsError
from eraflow.reports.weekreport import week_report
from eraflow.runs import stage
from eraflow.runs.searchrecord import search_record
from eraflow.runs.weekrecord import forget_last_outcome, note_lost, note_stage, timed, week_record, write_outcome


def finish(folder, name, seconds):
    note_stage(folder, name)
    stage.begin(folder / name, "s")
    stage.finish(folder / name, name, "s", metrics={}, seconds=seconds, peak_mb=5.0, attempts=2, provenance={})


@pytest.mark.parametrize(
    ("sending", "state", "error", "outcome"),
    [
        (False, {"id": "1", "status": "success"}, None, "submitted"),
        (False, {"id": "1", "status": "success"}, SettingsError("x", "y"), "submitted_with_error"),
        (True, None, SettingsError("x", "y"), "unconfirmed"),
        (True, None, None, "unconfirmed"),
        (False, None, None, "ready"),
        (False, None, KeyError("z"), "failed"),
    ],
)
def test_the_outcome_follows_from_the_files(tmp_path, sending, state, error, outcome):
    write_json(tmp_path / "gate" / "verdict.json", {"passed": True})
    write_json(tmp_path / "submission" / "record.json", {"state": state, "sending": sending})
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
    write_json(tmp_path / "submission" / "record.json", {"state": None, "sending": False})
    write_json(tmp_path / "submission" / "checks.json", {})
    write_json(tmp_path / "backtest" / "scores.json", {"old": {"summary": {}}})
    write_outcome(tmp_path, SettingsError("old", "old"))
    forget_last_outcome(tmp_path)
    record = week_record(tmp_path)
    assert record["error"] is None
    assert record["submission"] is None
    assert record["scores"] == {}
    assert record["stages"] == {}
    assert stage.finished(tmp_path / "features", "s") is not None


def test_a_submission_that_was_accepted_before_something_failed_is_not_forgotten(tmp_path):
    write_json(tmp_path / "submission" / "record.json", {"state": {"id": "sent"}, "sending": False})
    write_json(tmp_path / "submission" / "checks.json", {})
    write_outcome(tmp_path, SettingsError("later", "later"))
    forget_last_outcome(tmp_path)
    assert week_record(tmp_path)["submission"]["state"] == {"id": "sent"}


def test_one_that_may_have_arrived_is_not_forgotten_either(tmp_path):
    write_json(tmp_path / "submission" / "record.json", {"state": None, "sending": True})
    write_json(tmp_path / "submission" / "checks.json", {})
    forget_last_outcome(tmp_path)
    assert write_outcome(tmp_path, SettingsError("the round", "is over"))["outcome"] == "unconfirmed"


def test_a_folder_of_somebody_else_called_submission_is_left_alone(tmp_path):
    write_json(tmp_path / "submission" / "mine.json", {})
    forget_last_outcome(tmp_path)
    assert (tmp_path / "submission" / "mine.json").exists()


def test_a_named_error_keeps_its_parts(tmp_path):
    error = write_outcome(tmp_path, SettingsError("what", "do"))["error"]
    assert error == {"code": "settings", "problem": "what", "remedy": "do"}


def test_members_tell_what_they_learn_while_they_belong_to_this_attempt(tmp_path):
    told = {"learns": "target_ender_60", "purge_weeks": 16, "features": [5, 5, 4]}
    told |= {"folds": 2, "folds_kept": 1, "seconds_saved": 60.5}
    note_stage(tmp_path, "train-lightgbm-ender60")
    stage.begin(tmp_path / "train-lightgbm-ender60", "s")
    stage.finish(
        tmp_path / "train-lightgbm-ender60", "train-lightgbm-ender60", "s", metrics={**told, "rows": 3}, seconds=1.0,
        peak_mb=None, attempts=1, provenance={},
    )  # fmt: skip
    finish(tmp_path, "features", 3.0)
    assert week_record(tmp_path)["members"] == {"lightgbm-ender60": told}
    forget_last_outcome(tmp_path)
    assert week_record(tmp_path)["members"] == {}


def test_the_record_tells_how_the_members_were_blended_and_what_each_weighs(tmp_path):
    assert week_record(tmp_path)["blend"] is None
    told = {"method": "rank-gaussian", "members": ["lightgbm", "mlp"], "weights": [0.75, 0.25], "rows": 3}
    note_stage(tmp_path, "blend")
    stage.begin(tmp_path / "blend", "s")
    stage.finish(
        tmp_path / "blend", "blend", "s", metrics=told, seconds=1.0, peak_mb=None, attempts=1, provenance={}
    )  # fmt: skip
    blend = {"method": "rank-gaussian", "weights": {"lightgbm": 0.75, "mlp": 0.25}}
    assert week_record(tmp_path)["blend"] == blend
    scores = {"lightgbm": {"summary": {"corr": {"mean": 0.01, "low": 0.0, "high": 0.02, "sharpe": 1.0, "eras": 9}}}}
    write_json(tmp_path / "backtest" / "scores.json", scores)
    note_stage(tmp_path, "backtest")
    write_outcome(tmp_path)
    assert "Blended by `rank-gaussian` with the weights lightgbm 0.75, mlp 0.25." in week_report(tmp_path, {})
    forget_last_outcome(tmp_path)
    assert week_record(tmp_path)["blend"] is None


def test_what_the_run_went_on_without_is_told_by_kind_and_nothing_overwrites_the_rest(tmp_path):
    error = SettingsError("what", "do")
    for stage_name in ("search-catboost", "select", "train-lightgbm", "train-mlp"):
        note_lost(tmp_path, stage_name, error)
    record = week_record(tmp_path)
    assert list(record["lost_models"]) == ["lightgbm", "mlp"]
    assert list(record["lost_searches"]) == ["catboost"]
    assert record["lost_selection"] == {"code": "settings", "problem": "what", "remedy": "do"}
    assert "catboost" not in str(search_record(tmp_path)["search"])
    assert search_record(tmp_path)["lost_searches"] == record["lost_searches"]
    forget_last_outcome(tmp_path)
    assert week_record(tmp_path)["lost_selection"] is None
