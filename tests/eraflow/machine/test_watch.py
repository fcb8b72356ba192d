"""The watch's own parts: the series of samples and the count of memory."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.machine import processtree
from eraflow.machine.processtree import ProcessTree, Usage, usage
from eraflow.machine.series import Series

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs procfs")


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=500), st.integers(4, 40))
def test_a_series_stays_short_in_order_and_keeps_the_peak(values, limit):
    series = Series(limit)
    for i, value in enumerate(values):
        series.add(i * 0.1, value)
    times = [t for t, _ in series.points]
    assert len(series.points) <= limit
    assert times == sorted(set(times))
    assert max(value for _, value in series.points) == max(values)


def test_a_long_series_is_spread_over_all_of_the_time():
    series = Series(600)
    for i in range(20_000):
        series.add(i * 0.1, 1.0)
    assert 250 <= len(series.points) <= 600
    assert series.points[-1][0] > 1990


@linux_only
def test_usage_of_this_process_and_of_nobody():
    mine = usage([os.getpid()])
    assert 0 < mine.memory_mb <= mine.rss_mb
    assert usage([2**22 - 3]) == Usage(0, 0)


@linux_only
def test_shared_pages_are_counted_once_before_a_sentence(monkeypatch):
    one = usage([os.getpid()]).memory_mb
    monkeypatch.setattr(processtree, "_shared_once_mb", lambda pids: one)
    same = [os.getpid()] * 3
    assert usage(same).memory_mb == pytest.approx(3 * one, rel=0.05)
    assert usage(same, ceiling_mb=2 * one).memory_mb == one
    assert usage(same, ceiling_mb=one / 2).memory_mb > 2 * one  # one alone is over: no need to look closer


@linux_only
def test_the_exact_count_is_near_the_quick_one():
    pid = os.getpid()
    assert processtree._shared_once_mb([pid]) == pytest.approx(usage([pid]).memory_mb, rel=0.2)


def test_a_tree_contains_its_leader():
    assert os.getpid() in ProcessTree(os.getpid()).refresh()
