"""One stage, attempt by attempt: the ladder of plans, the ledger, the manifest, and what is skipped."""

import pytest

from eraflow.attempt import StageExhaustedError, Work, attempt_stage
from eraflow.errors import SettingsError
from eraflow.machine.failures import StageError
from eraflow.machine.ledger import Ledger
from eraflow.settings import MachineSettings
from eraflow.store import stage


def work(function, **arguments):
    return Work("stage", f"tests.attempt_stages:{function}", settings={}, inputs={}, arguments=arguments)


def until_done(job, folder, machine):
    """What Prefect's retries do: attempt again while the failure is of a kind that a new plan can cure."""
    for _ in range(30):
        try:
            return attempt_stage(job, folder, machine, log=lambda line: None)
        except StageError:
            continue
    raise AssertionError("it never ended")


def kinds(folder):
    return [row["kind"] for row in Ledger(folder / "stage" / stage.LEDGER).rows]


def test_too_little_memory_leads_to_smaller_plans_until_it_fits(tmp_path):
    record = until_done(work("needs_memory", bytes_a_row=30_000), tmp_path, MachineSettings(memory_mb=400, threads=1))
    happened = kinds(tmp_path)
    assert happened[-1] == "ok"
    assert set(happened[:-1]) == {"oom"}
    assert 1 <= len(happened) - 1 <= 3
    assert record.attempts == len(happened)
    assert record.peak_mb < 400
    assert (record.path / "result.txt").read_text() == "the same result"


def test_a_ceiling_below_the_floor_ends_in_one_named_error_that_lists_the_attempts(tmp_path):
    job = work("needs_memory", bytes_a_row=100_000)
    machine = MachineSettings(memory_mb=300, threads=1, attempts=2)
    with pytest.raises(StageExhaustedError, match="stage_exhausted: stage failed 2 times") as caught:
        until_done(job, tmp_path, machine)
    assert "machine.memory_mb" in str(caught.value)
    assert stage.read_manifest(tmp_path / "stage") is None


def test_a_later_run_climbs_the_ladder_anew(tmp_path):
    """By then somebody may have closed a program or raised the budget."""
    job = work("needs_memory", bytes_a_row=30_000)
    with pytest.raises(StageExhaustedError):
        until_done(job, tmp_path, MachineSettings(memory_mb=300, threads=1, attempts=1))
    until_done(job, tmp_path, MachineSettings(memory_mb=2_000, threads=1))
    assert kinds(tmp_path) == ["oom", "ok"]


def test_a_kill_from_outside_is_an_ordinary_failure(tmp_path):
    record = until_done(work("dies_until", times=2), tmp_path, MachineSettings(memory_mb=500, threads=1))
    assert kinds(tmp_path) == ["killed", "killed", "ok"]
    assert record.metrics["attempts"] == 3


def test_a_named_error_of_the_stage_is_not_tried_again(tmp_path):
    with pytest.raises(SettingsError, match="it cannot be so"):
        until_done(work("refuses"), tmp_path, MachineSettings(memory_mb=500, threads=1))
    assert kinds(tmp_path) == ["error"]


def test_finished_work_is_skipped_and_other_work_is_not(tmp_path):
    machine = MachineSettings(memory_mb=500, threads=1)
    until_done(work("dies_until", times=0), tmp_path, machine)
    assert until_done(work("dies_until", times=0), tmp_path, machine).reused
    changed = Work("stage", "tests.attempt_stages:dies_until", {"other": 1}, {}, {"times": 0})
    assert not until_done(changed, tmp_path, machine).reused
