"""One stage, attempt by attempt: the ladder of plans, the ledger, the manifest, and what is skipped."""

import threading
import time
from dataclasses import replace

import pytest

from eraflow.errors import SettingsError
from eraflow.machine import recorder
from eraflow.machine.budget import Budget, BudgetBusyError
from eraflow.machine.estimate import Need
from eraflow.machine.failures import StageError
from eraflow.machine.ledger import Ledger
from eraflow.machine.plan import RETRIED_KINDS, Plan
from eraflow.runs import stage
from eraflow.runs.attempt import StageExhaustedError, Work, _smaller_is_left, attempt_stage
from eraflow.settings.machine import MachineSettings
from tests.attempt_stages import Job


def work(function, **arguments):
    return Work("stage", f"tests.attempt_stages:{function}", Job(**arguments))


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
    rows = Ledger(tmp_path / "stage" / stage.LEDGER).rows
    for row in rows:
        told = f"({row['attempt']}) {row['changed']}: memory ran out, peak {row['peak_mb']:,.0f} MiB"
        assert told in str(caught.value)
    assert "low_memory off to on" in str(caught.value)
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
    changed = Work("stage", "tests.attempt_stages:dies_until", Job(other=1))
    assert not until_done(changed, tmp_path, machine).reused


SIZE = Need("xgboost", rows=1_000_000, columns=300)  # about 870 MiB, lean about 290


def test_the_first_plan_is_the_roomiest_whose_estimate_fits(tmp_path):
    for memory_mb, lean in ((2_000, False), (500, True)):
        job = replace(work("dies_until", times=0), need=SIZE, name=f"stage-{memory_mb}")
        attempt_stage(job, tmp_path, MachineSettings(memory_mb=memory_mb, threads=1), log=lambda line: None)
        (row,) = Ledger(tmp_path / job.name / stage.LEDGER).rows
        assert row["plan"]["low_memory"] is lean


def test_the_estimate_is_in_the_manifest_and_earlier_runs_correct_the_next(tmp_path):
    home, machine = tmp_path / "home", MachineSettings(memory_mb=2_000, threads=1)
    job = replace(work("dies_until", times=0), need=SIZE)
    lines: list[str] = []
    records = [
        attempt_stage(job, home / "runs" / name, machine, log=lines.append, home=home) for name in ("one", "two")
    ]
    one, two = (record.estimate for record in records)
    assert one["kind"] == "xgboost"
    assert one["ram_mb"] == one["raw_mb"] == two["raw_mb"]
    assert two["correction"] < 1  # the stage took next to nothing
    assert two["ram_mb"] < two["raw_mb"]
    assert f"expected {two['ram_mb']:.0f} of 2000 MiB" in lines[-1]


def test_a_disk_too_small_is_refused_before_the_work(tmp_path):
    big = Need("features", rows=10**9, columns=3_000)
    with pytest.raises(StageError, match=r"disk_full: stage needs about [\d,]+ MiB in .* MiB are missing") as caught:
        attempt_stage(replace(work("refuses"), need=big), tmp_path, MachineSettings(threads=1), log=lambda line: None)
    assert caught.value.kind == "disk_full"
    assert caught.value.kind not in RETRIED_KINDS
    assert str(tmp_path) in str(caught.value)
    assert kinds(tmp_path) == []


def test_a_disk_below_its_floor_is_no_reason_to_try_again(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "disk_free_mb", lambda folder: 10.0)
    machine = MachineSettings(memory_mb=500, threads=1)
    with pytest.raises(StageError, match="disk_full"):
        attempt_stage(work("dawdles"), tmp_path, machine, log=lambda line: None)
    assert kinds(tmp_path) == ["disk_full"]
    record = until_done(
        work("dawdles", seconds=0), tmp_path, MachineSettings(memory_mb=500, threads=1, disk_floor_mb=0)
    )
    assert record.attempts == 2


def test_the_ladder_goes_on_from_what_was_tried_first(tmp_path):
    """Also when earlier runs, or memory that was given back, would allow a roomier first plan by now."""
    job = replace(work("dies_until", times=0), need=SIZE)
    folder = tmp_path / "stage"
    stage.begin(folder, job.signature)
    ledger = Ledger(folder / stage.LEDGER)
    ledger.finish(ledger.start(Plan(threads=4, rows_in_memory=65_536)), "oom")
    attempt_stage(job, tmp_path, MachineSettings(memory_mb=4_000, threads=2), log=lambda line: None)
    plan = ledger.rows[-1]["plan"]
    assert (plan["rows_in_memory"], plan["low_memory"], plan["threads"]) == (32_768, True, 2)


def test_stages_of_one_home_share_its_memory(tmp_path):
    """Two at once, each in need of more than half: the second begins when the first has ended."""
    home, machine = tmp_path / "home", MachineSettings(memory_mb=1_000, threads=1)
    need = Need("backtest", judged=2_000_000)  # some 440 MiB, promised a fifth more
    lines: list[str] = []

    def run(name: str, seconds: float) -> None:
        job = replace(work("dawdles", seconds=seconds), need=need, name=name)
        attempt_stage(job, home / "runs" / name, machine, log=lines.append, home=home)

    first = threading.Thread(target=run, args=("first", 1.5))
    first.start()
    while not any(line.startswith("first: attempt") for line in lines):
        time.sleep(0.02)
    run("second", 0)
    first.join()
    assert any("second waits for" in line and "first" in line for line in lines)
    assert not list((home / ".budget").glob("lease-*"))


def test_memory_that_is_not_given_back_is_a_named_error_and_no_attempt(tmp_path):
    machine = MachineSettings(memory_mb=1_000, threads=1, wait_minutes=0)
    budget = Budget(tmp_path / ".budget", 1_000)
    with budget.acquire(900, name="another", log=print), pytest.raises(BudgetBusyError, match="another 900 MiB"):
        attempt_stage(work("dawdles", seconds=0), tmp_path, machine, log=lambda line: None)
    assert kinds(tmp_path) == []


@pytest.mark.parametrize(
    ("earlier", "attempts", "left"), [(0, 12, True), (0, 1, False), (1, 2, False), (1, 3, True), (30, 31, False)]
)
def test_a_smaller_plan_is_promised_only_where_one_is_left(tmp_path, earlier, attempts, left):
    ledger, plan = Ledger(tmp_path / stage.LEDGER), Plan(threads=1)
    for _ in range(earlier):
        ledger.finish(ledger.start(plan), "oom")
    ledger.start(plan)
    assert _smaller_is_left(ledger, plan, MachineSettings.model_construct(attempts=attempts)) is left
