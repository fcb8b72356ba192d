"""Earlier runs' peaks, read from their manifests."""

import os

import pytest

from eraflow.runs import stage
from eraflow.runs.pastpeaks import earlier_ratios


def finish(run, name, *, kind="lightgbm", raw=100.0, peak=120.0, at=0.0):
    folder = run / name
    stage.begin(folder, "s")
    estimate = {} if kind is None else {"kind": kind, "raw_mb": raw}
    stage.finish(folder, name, "s", metrics={}, seconds=1, peak_mb=peak, attempts=1, provenance={}, estimate=estimate)
    os.utime(run, (at, at))


def test_the_ratios_of_one_kind_come_oldest_first(tmp_path):
    for day, peak in enumerate((110.0, 120.0, 130.0)):
        finish(tmp_path / f"run-{3 - day}", "train-a", peak=peak, at=1000.0 + day)
        finish(tmp_path / f"run-{3 - day}", "blend", kind="blend", peak=999.0, at=1000.0 + day)
    assert earlier_ratios(tmp_path, "lightgbm") == pytest.approx([1.1, 1.2, 1.3])


def test_the_present_run_is_the_newest(tmp_path):
    finish(tmp_path / "runs" / "old", "train-a", peak=150.0, at=9e9)
    finish(tmp_path / "here", "train-a", peak=110.0, at=1.0)
    assert earlier_ratios(tmp_path / "runs", "lightgbm", also=tmp_path / "here") == pytest.approx([1.5, 1.1])


def test_what_says_nothing_is_passed_over(tmp_path):
    finish(tmp_path / "a", "unknown", kind=None)
    finish(tmp_path / "a", "unmeasured", peak=None)
    finish(tmp_path / "a", "torn")
    (tmp_path / "a" / "torn" / "manifest.json").write_text("{")
    assert earlier_ratios(tmp_path, "lightgbm") == []
    assert earlier_ratios(tmp_path / "nowhere", "lightgbm") == []


def test_at_most_twenty_of_them(tmp_path):
    for number in range(8):
        for name in ("a", "b", "c"):
            finish(tmp_path / f"run-{number}", name, at=1000.0 + number)
    assert len(earlier_ratios(tmp_path, "lightgbm")) == 20
