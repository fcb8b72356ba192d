"""One budget for several stages: promises, growth, waiting, and owners that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eraflow.machine.budget import Budget, BudgetBusyError
from eraflow.machine.resources import NotEnoughMemoryError

HOLD = """
import sys, time
from pathlib import Path
from eraflow.machine.budget import Budget
lease = Budget(Path(sys.argv[1]), 4_000, lambda: 1e6).acquire(float(sys.argv[2]), name="other", log=print)
print("held", flush=True)
time.sleep(60)
"""


def plenty() -> float:
    return 1e6


def acquire(budget, mb, wait_s=0.0, lines=None):
    return budget.acquire(mb, name="stage", log=(lines if lines is not None else []).append, wait_s=wait_s)


@pytest.fixture
def other(tmp_path):
    """Starts processes that hold a lease in the same folder; none survives the test."""
    started = []

    def hold(mb):
        code = [sys.executable, "-c", HOLD, str(tmp_path), str(mb)]
        process = subprocess.Popen(code, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()})
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_single_stage_may_take_everything(tmp_path):
    with acquire(Budget(tmp_path, 4_000, plenty), 500) as lease:
        assert lease.held_mb == 500
        assert lease.limit_mb == 4_000
        assert lease.ceiling_mb(3_900) == 4_000
        assert lease.held_mb == 4_000


def test_two_stages_are_never_promised_more_than_there_is(tmp_path):
    budget = Budget(tmp_path, 4_000, plenty)
    with acquire(budget, 1_500) as one, acquire(budget, 1_000) as two:
        assert two.limit_mb == 2_500
        two.reserve(9_000)
        assert one.held_mb + two.held_mb == 4_000
        assert one.ceiling_mb(1_490) == 1_500  # it asks because it outgrows its own, and nothing is left
        assert two.ceiling_mb(100) == 2_500


def test_what_is_given_back_is_there_for_the_other(tmp_path):
    budget = Budget(tmp_path, 4_000, plenty)
    one = acquire(budget, 1_500)
    two = acquire(budget, 2_500)
    assert one.ceiling_mb(1_490) == 1_500
    two.release()
    assert one.ceiling_mb(1_510) == 4_000  # over what it knew of: it asks before it gives up
    one.release()
    assert not list(tmp_path.glob("lease-*"))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 5_000)), max_size=25))
def test_whatever_they_ask_for_the_promises_fit_the_total(tmp_path, steps):
    budget = Budget(tmp_path, 4_000, plenty)
    leases = [acquire(budget, 300) for _ in range(4)]
    try:
        for place, used in steps:
            leases[place].ceiling_mb(used)
            assert sum(lease.held_mb for lease in leases) <= 4_000 + 0.01
            assert all(lease.held_mb >= 300 for lease in leases)
    finally:
        for lease in leases:
            lease.release()


def test_a_process_that_holds_too_much_is_named(tmp_path, other):
    holder = other(3_000)
    lines: list[str] = []
    with pytest.raises(BudgetBusyError, match=rf"other 3000 MiB \(process {holder.pid}\)") as caught:
        acquire(Budget(tmp_path, 4_000, plenty), 2_000, wait_s=0.6, lines=lines)
    assert "machine.wait_minutes" in caught.value.remedy
    assert len(lines) == 1
    assert "stage waits for 2000 MiB of memory, 1000 are free" in lines[0]


def test_kill_9_of_the_holder_frees_its_lease(tmp_path, other):
    holder = other(3_000)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with acquire(Budget(tmp_path, 4_000, plenty), 3_900) as lease:
        assert lease.held_mb == 3_900
        assert len(list(tmp_path.glob("lease-*"))) == 1


def test_the_one_who_waits_goes_on_when_the_holder_dies(tmp_path, other):
    holder = other(3_000)
    began = time.monotonic()
    lines: list[str] = []

    def killed_when_told(line: str) -> None:
        lines.append(line)
        holder.kill()

    lease = Budget(tmp_path, 4_000, plenty).acquire(2_000, name="stage", log=killed_when_told, wait_s=30)
    lease.release()
    assert time.monotonic() - began < 10
    assert len(lines) == 1


def test_a_child_that_lives_on_does_not_keep_the_lease(tmp_path):
    """Descriptors are not inherited by what the holder starts."""
    code = HOLD.replace("time.sleep(60)", "import subprocess; print(subprocess.Popen(['sleep', '30']).pid, flush=True)")
    survivor = _run_to_end(code, tmp_path)
    try:
        with acquire(Budget(tmp_path, 4_000, plenty), 3_900) as lease:
            assert lease.held_mb == 3_900
    finally:
        os.kill(survivor, signal.SIGKILL)


def _run_to_end(code: str, folder: Path) -> int:
    command = [sys.executable, "-c", code, str(folder), "3000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()}) as process:
        assert process.stdout.readline() == b"held\n"
        survivor = int(process.stdout.readline())
        process.wait()
        process.stdout.close()
    return survivor


def test_never_more_than_is_free(tmp_path):
    with acquire(Budget(tmp_path, 12_000, lambda: 1_000.0), 2_000) as lease:
        assert lease.limit_mb == pytest.approx(850)
        assert lease.held_mb == pytest.approx(850)


def test_what_others_were_promised_and_have_not_taken_is_not_free(tmp_path, other):
    other(2_000)
    budget = Budget(tmp_path, None, lambda: 4_000.0)
    with acquire(budget, 300) as lease:
        assert lease.limit_mb == pytest.approx(4_000 * 0.85 - 2_000, abs=60)


def test_memory_that_other_programs_never_give_back_is_named_after_the_wait(tmp_path):
    lines: list[str] = []
    with pytest.raises(NotEnoughMemoryError, match=r"85 MiB may be used.*still after 1 s"):
        acquire(Budget(tmp_path, 12_000, lambda: 100.0), 300, wait_s=0.7, lines=lines)
    assert len(lines) == 1
    assert "other programs of this computer hold the rest" in lines[0]


@pytest.mark.parametrize("free", [100.0, 700.0])
def test_memory_that_other_programs_hold_for_a_while_is_waited_for(tmp_path, free):
    """Also where one could begin with a smaller plan at once."""
    looks = iter([free, free])
    budget = Budget(tmp_path, 12_000, lambda: next(looks, 4_000.0))
    with acquire(budget, 1_000, wait_s=30) as lease:
        assert lease.held_mb == 1_000


def test_a_computer_that_can_never_give_so_much_is_not_waited_for(tmp_path):
    began = time.monotonic()
    with acquire(Budget(tmp_path, None, lambda: 1_000.0), 1e8, wait_s=30) as lease:
        assert lease.limit_mb == pytest.approx(850)
    assert time.monotonic() - began < 5


def test_a_stage_that_needs_more_than_all_waits_for_all_and_no_longer(tmp_path):
    with acquire(Budget(tmp_path, 4_000, plenty), 9_000) as lease:
        assert lease.held_mb == 4_000


def test_the_watch_never_waits_for_the_folder(tmp_path):
    budget = Budget(tmp_path, 4_000, plenty)
    with acquire(budget, 500) as lease, budget.locked():
        began = time.monotonic()
        assert lease.ceiling_mb(3_000) == 4_000
        assert time.monotonic() - began < 0.5
