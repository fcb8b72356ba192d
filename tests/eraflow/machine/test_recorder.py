"""What is written beside a running stage, and the limits that are looked at off the fast path."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from eraflow.machine import isolate, recorder, sensors
from eraflow.machine.failures import StageError, StageOutOfMemory
from eraflow.machine.isolate import run_isolated
from eraflow.machine.recorder import WATCH_FILE, read_watch
from eraflow.machine.training import MAX_POINTS, TrainingCurve, read_training

HERE = "tests.eraflow.machine.stages"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs procfs")


def isolated(function, folder, log=None, memory_mb=2000, timeout_s=60, kwargs=None, **more):
    lines = log if log is not None else []
    return run_isolated(
        f"{HERE}:{function}",
        kwargs or {},
        memory_mb=memory_mb,
        timeout_s=timeout_s,
        log=lines.append,
        folder=folder,
        **more,
    )


@pytest.fixture
def hasty(monkeypatch):
    """Look and write several times a second."""
    for name in ("LOOK_SECONDS", "SENSE_SECONDS", "WRITE_SECONDS"):
        monkeypatch.setattr(recorder, name, 0.05)


@linux_only
def test_the_record_of_a_stage_that_ended_well(tmp_path):
    outcome = isolated("allocate", tmp_path, kwargs={"mb": 100, "seconds": 0.5}, disk_floor_mb=1)
    (attempt,) = read_watch(tmp_path)
    memory = attempt["channels"]["memory_mb"]
    assert attempt["outcome"] == "ok"
    assert attempt["budget_mb"] == 2000
    assert attempt["soft_mb"] == 1700
    assert attempt["soft_at"] is None
    assert attempt["disk_floor_mb"] == 1
    assert memory["peak"] == pytest.approx(outcome.peak_mb, abs=0.1)
    assert memory["points"] == [list(point) for point in outcome.samples]
    assert attempt["channels"]["disk_free_mb"]["peak"] > 1


@linux_only
def test_attempts_follow_each_other_in_the_record(tmp_path):
    isolated("allocate", tmp_path, kwargs={"mb": 10})
    with pytest.raises(StageOutOfMemory):
        isolated("allocate", tmp_path, memory_mb=150, kwargs={"mb": 400, "seconds": 30})
    isolated("allocate", tmp_path, kwargs={"mb": 10})
    assert [attempt["outcome"] for attempt in read_watch(tmp_path)] == ["ok", "oom", "ok"]


def test_the_number_of_attempts_in_the_record_is_bounded(tmp_path):
    row = {"channels": {}}
    (tmp_path / WATCH_FILE).write_text(json.dumps({"attempts": [row] * 50}))
    isolated("add", tmp_path, kwargs={"a": 1, "b": 1})
    assert len(read_watch(tmp_path)) == recorder.MAX_ATTEMPTS


@pytest.mark.parametrize("content", ["", "{", "[]", '{"attempts": 3}', '{"attempts": [1, {}]}'])
def test_a_damaged_record_is_no_record(tmp_path, content):
    (tmp_path / WATCH_FILE).write_text(content)
    assert read_watch(tmp_path) == []


@linux_only
def test_a_kill_of_everything_leaves_what_was_known(tmp_path):
    code = (
        "from eraflow.machine import recorder\n"
        "from eraflow.machine.isolate import run_isolated\n"
        "recorder.WRITE_SECONDS = recorder.LOOK_SECONDS = 0.05\n"
        f"run_isolated('{HERE}:allocate', {{'mb': 80, 'seconds': 60}}, memory_mb=900, timeout_s=None, log=print,"
        f" folder={str(tmp_path)!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.getcwd()})
    try:
        end = time.monotonic() + 15
        while time.monotonic() < end:
            seen = read_watch(tmp_path)
            if seen and seen[-1]["channels"]["memory_mb"]["peak"] > 80:
                break
            time.sleep(0.05)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    (attempt,) = read_watch(tmp_path)
    assert attempt["outcome"] == "running"
    assert attempt["budget_mb"] == 900
    assert attempt["channels"]["memory_mb"]["peak"] > 80


@linux_only
@pytest.mark.parametrize(("smaller", "end"), [(True, "with a smaller plan"), (False, "no smaller plan is left")])
def test_the_soft_limit_warns_once_and_goes_on(tmp_path, smaller, end):
    lines: list[str] = []
    isolated("allocate", tmp_path, lines, memory_mb=130, kwargs={"mb": 105, "seconds": 0.6}, smaller_plan=smaller)
    warnings = [line for line in lines if line.startswith("WARNING memory is at")]
    assert len(warnings) == 1
    assert "130 MiB (machine.memory_mb)" in warnings[0]
    assert warnings[0].endswith(end)
    assert read_watch(tmp_path)[0]["soft_at"] is not None


@linux_only
def test_a_ceiling_that_falls_while_the_stage_runs_ends_it(tmp_path):
    class Falling:
        """As a lease does when another stage takes its share."""

        def __init__(self) -> None:
            self.began = time.monotonic()

        def ceiling_mb(self, used_mb: float) -> float:
            return 2_000 if time.monotonic() - self.began < 1.0 else 60

    with pytest.raises(StageOutOfMemory, match="its budget is 60 MiB"):
        isolated("allocate", tmp_path, memory_mb=Falling(), kwargs={"mb": 100, "seconds": 30})


def test_a_disk_below_its_floor_ends_the_stage(tmp_path, hasty):
    began = time.monotonic()
    with pytest.raises(StageError, match=r"disk_full: .*the floor is 10,000,000,000 MiB") as caught:
        isolated("sleep", tmp_path, kwargs={"seconds": 60}, disk_floor_mb=1e10)
    assert time.monotonic() - began < 10
    assert caught.value.kind == "disk_full"
    assert "free some space" in caught.value.remedy
    assert str(tmp_path) in caught.value.problem
    assert read_watch(tmp_path)[0]["outcome"] == "disk_full"


@pytest.mark.parametrize("floor", [None, 0])
def test_the_floor_can_be_switched_off(tmp_path, hasty, monkeypatch, floor):
    monkeypatch.setattr(recorder, "disk_free_mb", lambda folder: 0.0)
    assert isolated("sleep", tmp_path, kwargs={"seconds": 0.5}, disk_floor_mb=floor).value == "rested"


def smi(folder: Path, monkeypatch, script: str) -> None:
    """A stand-in for nvidia-smi, first on the path."""
    folder.mkdir()
    command = folder / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@linux_only
def test_gpu_memory_of_the_tree_is_watched_and_bounded(tmp_path, hasty, monkeypatch):
    note = tmp_path / "pid"
    told = (
        f'case "$1" in *compute*) echo "$(cat {note} 2>/dev/null || echo 1), 900"; echo "1, 70000";; *) echo 61;; esac'
    )
    smi(tmp_path / "bin", monkeypatch, told)
    kwargs = {"seconds": 60, "note": str(note), "plan": {"device": "cuda", "threads": 1}}
    with pytest.raises(StageError, match=r"900 MiB of GPU memory; machine\.vram_mb is 500") as caught:
        isolated("sleep_with_plan", tmp_path / "stage", kwargs=kwargs, vram_mb=500)
    assert caught.value.kind == "vram"
    channels = read_watch(tmp_path / "stage")[0]["channels"]
    assert channels["vram_mb"]["peak"] == 900
    assert channels["temperature_c"]["peak"] >= 61


def test_without_a_gpu_in_the_plan_nvidia_smi_is_not_asked(tmp_path, hasty, monkeypatch):
    smi(tmp_path / "bin", monkeypatch, f"touch {tmp_path / 'asked'}")
    isolated("sleep", tmp_path / "stage", kwargs={"seconds": 0.4}, vram_mb=500)
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "echo '[N/A], [N/A]'", "echo"])
def test_a_driver_that_says_nothing_useful_is_no_figure(tmp_path, monkeypatch, script):
    smi(tmp_path / "bin", monkeypatch, script)
    assert sensors.vram_mb([os.getpid()]) is None


def test_heat_is_told_once_and_ends_nothing(tmp_path, hasty, monkeypatch):
    monkeypatch.setattr(recorder, "temperature_c", lambda *, gpu: 99.0)
    lines: list[str] = []
    assert isolated("sleep", tmp_path, lines, kwargs={"seconds": 0.6}).value == "rested"
    assert len([line for line in lines if "99 °C" in line]) == 1
    assert read_watch(tmp_path)[0]["notes"] == lines


def test_a_sensor_that_breaks_does_not_cost_the_stage(tmp_path, hasty, monkeypatch):
    def broken(*, gpu: bool) -> float:
        raise RuntimeError("no such sensor")

    monkeypatch.setattr(recorder, "temperature_c", broken)
    lines: list[str] = []
    assert isolated("sleep", tmp_path, lines, kwargs={"seconds": 0.4}).value == "rested"
    assert any("no longer watched" in line and "no such sensor" in line for line in lines)


def test_a_record_that_cannot_be_written_does_not_cost_the_stage(tmp_path, hasty):
    (tmp_path / WATCH_FILE).mkdir()
    (tmp_path / WATCH_FILE / "x").write_text("")
    lines: list[str] = []
    assert isolated("sleep", tmp_path, lines, kwargs={"seconds": 0.4}).value == "rested"
    assert len([line for line in lines if "record of the watch cannot be written" in line]) == 1


def test_cancelling_is_in_the_record(tmp_path):
    def log(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_isolated(f"{HERE}:fail", {"how": "plain"}, memory_mb=None, timeout_s=None, log=log, folder=tmp_path)
    assert read_watch(tmp_path)[0]["outcome"] == "interrupted"


def test_no_thread_is_left_behind(tmp_path):
    before = threading.active_count()
    isolated("add", tmp_path, kwargs={"a": 1, "b": 1})
    assert threading.active_count() == before
    assert isolate.LOOK_SECONDS < 1


def test_a_training_is_written_beside_its_stage(tmp_path):
    lines: list[str] = []
    isolated("train_a_little", tmp_path, lines, kwargs={"steps": 5})
    points = read_training(tmp_path)
    assert [(point["fit"], point["step"]) for point in points] == [
        *((0, step) for step in range(1, 6)),
        *((1, step) for step in range(1, 7)),
    ]
    assert points[0] == {"fit": 0, "step": 1, "loss": 1.0, "grad_norm": None, "rate": 0.1, "corr": None}
    assert (points[-1]["loss"], points[-1]["grad_norm"]) == ("nan", "inf")
    assert lines == []


def test_the_corr_of_eras_kept_back_is_told_with_the_update_before(tmp_path):
    curve = TrainingCurve()
    for step in range(6):
        curve.feed({"step": step, "loss": 1.0, "grad_norm": 1.0, "rate": 0.1})
        if step % 3 == 2:
            curve.feed({"step": step, "corr": 0.01 * step})
    curve.write(tmp_path)
    assert [(point["fit"], point["corr"]) for point in read_training(tmp_path)] == [
        *((0, corr) for corr in (None, None, 0.02, None, None, 0.05)),
    ]


def test_a_long_training_stays_small_and_keeps_its_ends(tmp_path):
    curve = TrainingCurve()
    for step in range(1, 20_000):
        curve.feed({"step": step, "loss": 1.0, "grad_norm": 1.0, "rate": 0.1})
    curve.write(tmp_path)
    points = read_training(tmp_path)
    assert MAX_POINTS / 2 <= len(points) <= MAX_POINTS + 1
    assert (points[0]["step"], points[-1]["step"]) == (1, 19_999)


@pytest.mark.parametrize("content", [None, 3, [1, 2], {}, {"step": "1"}, {"loss": 1.0}])
def test_a_mark_that_is_not_one_is_ignored(tmp_path, content):
    curve = TrainingCurve()
    curve.feed(content)
    curve.write(tmp_path)
    assert curve.points == []
    assert not (tmp_path / "training.json").exists()
