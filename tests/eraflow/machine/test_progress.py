"""Progress in the child and its estimate in the parent."""

from __future__ import annotations

import pytest

from eraflow.machine import progress
from eraflow.machine.progress import Progress, ProgressMeter, readable_seconds, report


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def meter():
    clock, seen = Clock(), []
    return ProgressMeter(seen.append, clock), clock, seen


def step(meter, clock, seconds, done, total=10.0, label="x"):
    clock.now += seconds
    meter.feed([done, total, label])
    meter.flush()


def test_time_left_follows_the_rate(meter):
    meter, clock, seen = meter
    step(meter, clock, 5, 0.0)
    step(meter, clock, 2, 1.0)
    step(meter, clock, 2, 2.0)
    assert [item.seconds_left for item in seen] == [None, pytest.approx(18), pytest.approx(16)]
    assert seen[-1].seconds == pytest.approx(9)


def test_a_resumed_stage_is_not_taken_for_a_fast_one(meter):
    meter, clock, seen = meter
    step(meter, clock, 1, 8.0)
    step(meter, clock, 10, 9.0)
    assert seen[-1].seconds_left == pytest.approx(10)


@pytest.mark.parametrize(("done", "total"), [(1.0, 10.0), (3.0, 50.0)])
def test_going_back_or_another_total_measures_anew(meter, done, total):
    meter, clock, seen = meter
    step(meter, clock, 1, 0.0)
    step(meter, clock, 1, 9.0)
    step(meter, clock, 1, done, total)
    assert seen[-1].seconds_left is None


def test_at_most_two_a_second_and_the_last_always(meter):
    meter, clock, seen = meter
    for i in range(101):
        step(meter, clock, 0.01, i / 10)
    assert len(seen) <= 3
    meter.flush(final=True)
    assert seen[-1].done == 10
    count = len(seen)
    meter.flush(final=True)
    assert len(seen) == count


@pytest.mark.parametrize("content", [None, [], [1, 2, 3], ["a", 1.0, "x"], {"done": 1}])
def test_what_is_not_ours_is_ignored(meter, content):
    meter, _, seen = meter
    meter.feed(content)
    meter.flush(final=True)
    assert seen == []


def test_report_is_silent_outside_a_child(capfd, monkeypatch):
    monkeypatch.delenv(progress.ENVIRONMENT_FLAG, raising=False)
    report(1, 1, "x")
    assert capfd.readouterr().out == ""


def test_report_in_a_child_is_sparing_but_sends_the_last(capfd, monkeypatch):
    monkeypatch.setenv(progress.ENVIRONMENT_FLAG, "1")
    monkeypatch.setattr(progress, "_last_sent", float("-inf"))
    for i in range(1001):
        report(i, 1000, "x" * 9999)
    lines = capfd.readouterr().out.splitlines()
    assert 2 <= len(lines) <= 4
    assert all(len(line) < 4096 for line in lines)
    assert "[1000.0, 1000.0," in lines[-1]


def test_progress_reads_well():
    text = str(Progress(3, 10, "folds", 60, 140))
    assert text == "folds 3 of 10 (30%), about 2 min left"
    assert Progress(3, 0, "", 1, None).fraction == 0
    assert [readable_seconds(s) for s in (45, 700, 11_100)] == ["45 s", "12 min", "3 h 05 min"]
