"""A computer that slept, a run that was stopped, a wall clock that jumps: only time that was lived through counts."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from eraflow.machine.awake import GAP_SECONDS, AwakeClock, join_awake, since_boot
from eraflow.numerai.retry import within
from eraflow.runs import weekrecord

ROOT = Path(__file__).parents[3]


class Hands:
    """The clock below, set by the test."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def clock(hands):
    made = AwakeClock(hands, ticking=False)
    made.tick()
    return made


def test_lived_seconds_count_and_a_gap_does_not(hands, clock):
    began = clock()
    for _ in range(30):
        hands.now += 1.0
        clock.tick()
    assert clock() - began == pytest.approx(30.0)
    hands.now += 8 * 3600.0  # the lid is closed
    assert clock() - began == pytest.approx(31.0, abs=0.01)  # asked before the next tick
    hands.now += 2.0
    assert clock() - began == pytest.approx(33.0, abs=0.01)


def test_it_never_goes_back_and_a_busy_computer_is_not_asleep(hands, clock):
    seen = [clock()]
    for step in (0.0, 0.5, GAP_SECONDS - 0.1, GAP_SECONDS + 0.1, 100_000.0, 0.0, GAP_SECONDS - 0.1):
        hands.now += step
        seen.append(clock())
    assert seen == sorted(seen)
    assert seen[3] - seen[0] == pytest.approx(0.5 + GAP_SECONDS - 0.1)


def test_a_thread_is_waited_for_no_longer_than_asked():
    release = threading.Event()
    thread = threading.Thread(target=release.wait, daemon=True)
    thread.start()
    began = time.monotonic()
    join_awake(thread, 0.3)
    assert 0.25 < time.monotonic() - began < 5
    release.set()
    join_awake(thread, 30)
    assert not thread.is_alive()


STOPPED = """
import sys, time
from eraflow.machine.isolate import run_isolated
from eraflow.numerai.retry import within
print("ready", flush=True)
if sys.argv[1] == "call":
    print(within(4.0, "a call", lambda: time.sleep(3.0) or "answered"))
else:
    work = ("tests.eraflow.machine.stages:sleep", {"seconds": 3.0})
    done = run_isolated(*work, memory_mb=None, timeout_s=4.0, log=print, folder=sys.argv[2])
    print("answered", done.value)
"""


@pytest.mark.parametrize("what", ["call", "stage"])
def test_what_was_stopped_with_everything_around_it_goes_on_where_it_was(tmp_path, what):
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, what, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    tree = [process.pid, *_children(process.pid)]
    for pid in tree:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(GAP_SECONDS + 2.0)  # longer than the whole deadline
    for pid in reversed(tree):
        os.kill(pid, signal.SIGCONT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "answered" in told


def _children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


@pytest.mark.parametrize("jump", [-86_400.0, 400 * 86_400.0])
def test_the_seconds_of_a_run_are_right_whatever_happens_to_the_wall_clock(tmp_path, monkeypatch, jump):
    real = time.time
    weekrecord.forget_last_outcome(tmp_path)
    monkeypatch.setattr(weekrecord.time, "time", lambda: real() + jump)
    record = weekrecord.write_outcome(tmp_path)
    assert 0.0 <= record["seconds"] < 60.0


def test_after_another_boot_the_wall_clock_tells_and_never_less_than_nothing(tmp_path, monkeypatch):
    weekrecord.forget_last_outcome(tmp_path)
    monkeypatch.setattr(weekrecord, "this_boot", lambda: "another")
    monkeypatch.setattr(weekrecord.time, "time", lambda: 5.0)
    assert weekrecord.write_outcome(tmp_path)["seconds"] == 0.0


def test_seconds_since_boot_go_on():
    assert 0 < since_boot() <= since_boot()


def test_a_call_still_has_its_deadline():
    from eraflow.numerai.errors import DeadlineError

    with pytest.raises(DeadlineError, match=r"no answer within 0\.2 s"):
        within(0.2, "a call", lambda: time.sleep(2.0))
