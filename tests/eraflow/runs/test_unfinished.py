"""The run that was cut off is found again: by its settings, or by the Prefect flow run that worked in it."""

import json
import time

import pytest

from eraflow.runs.unfinished import (
    MAX_AGE_DAYS,
    folder_of_flow_run,
    is_unfinished,
    newest_unfinished,
    note_run,
    unfinished_runs,
)
from eraflow.settings.override import settings_from


def settings(home, *assignments):
    return settings_from("sandbox", {"home": str(home)}, assignments).model_dump(mode="json")


def begun(home, name, *assignments, flow="weekly", outcome=None, place=None, days=0.0, flow_run=None):
    run_dir = (place or home / "runs") / name
    run_dir.mkdir(parents=True)
    (run_dir / "settings.json").write_text(json.dumps(settings(home, *assignments)))
    note_run(home, run_dir, flow, flow_run)
    noted = json.loads((run_dir / "run.json").read_text())
    noted["started"] = time.time() - days * 86_400 + begun.count
    begun.count += 0.001
    (run_dir / "run.json").write_text(json.dumps(noted))
    if outcome is not None:
        (run_dir / "record.json").write_text(json.dumps({"outcome": outcome}))
    return run_dir


begun.count = 0.0


def test_the_newest_unfinished_run_of_the_same_settings_is_found(tmp_path):
    begun(tmp_path, "a")
    newest = begun(tmp_path, "b")
    begun(tmp_path, "c", "seed=8")
    begun(tmp_path, "d", flow="daily")
    begun(tmp_path, "e", outcome="submitted")
    assert newest_unfinished(tmp_path, "weekly", settings(tmp_path)) == newest
    assert newest_unfinished(tmp_path, "weekly", settings(tmp_path, "windows.folds=2")) is None


def test_memory_patience_and_alerts_may_change_between_a_run_and_its_continuation(tmp_path):
    run_dir = begun(tmp_path, "a")
    changed = settings(tmp_path, "machine.memory_mb=900", "round.wait_minutes=1", "alert.block=x/y")
    assert newest_unfinished(tmp_path, "weekly", changed) == run_dir
    assert newest_unfinished(tmp_path, "weekly", settings(tmp_path, "submit.dry_run=true")) is None


@pytest.mark.parametrize(
    ("outcome", "unfinished"),
    [
        (None, True),
        ("failed", True),
        ("unconfirmed", True),
        ("submitted_with_error", True),
        ("submitted", False),
        ("ready", False),
        ("held", False),
    ],
)
def test_what_is_unfinished(tmp_path, outcome, unfinished):
    run_dir = begun(tmp_path, "a", outcome=outcome)
    assert is_unfinished(run_dir) is unfinished
    assert list(unfinished_runs(tmp_path, "weekly")) == ([run_dir] if unfinished else [])


def test_a_run_of_last_week_is_not_continued(tmp_path):
    begun(tmp_path, "a", days=MAX_AGE_DAYS + 0.1)
    assert newest_unfinished(tmp_path, "weekly", settings(tmp_path)) is None
    younger = begun(tmp_path, "b", days=MAX_AGE_DAYS - 0.1)
    assert newest_unfinished(tmp_path, "weekly", settings(tmp_path)) == younger


def test_a_run_at_another_place_is_found_too(tmp_path):
    run_dir = begun(tmp_path / "home", "mine", place=tmp_path / "elsewhere")
    assert newest_unfinished(tmp_path / "home", "weekly", settings(tmp_path)) == run_dir


def test_a_retried_flow_run_finds_its_folder(tmp_path):
    first = begun(tmp_path, "a", flow_run="id-1")
    begun(tmp_path, "b", flow_run="id-2")
    note_run(tmp_path, first, "weekly", "id-3")
    assert folder_of_flow_run(tmp_path, "id-1") == folder_of_flow_run(tmp_path, "id-3") == first
    assert folder_of_flow_run(tmp_path, "unknown") is None


def test_damaged_notes_are_passed_over(tmp_path):
    run_dir = begun(tmp_path, "a")
    for name, text in (("b", "{"), ("c", "[]")):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "run.json").write_text(text)
    (tmp_path / "runs" / "0.elsewhere").write_text("/no/such/folder")
    assert list(unfinished_runs(tmp_path, "weekly")) == [run_dir]
