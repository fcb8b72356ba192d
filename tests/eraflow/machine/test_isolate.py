"""A stage in a child: what comes back, and what every way of dying becomes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from eraflow.disk.atomic import StorageError
from eraflow.errors import EraflowError
from eraflow.machine.failures import (
    StageCrashed,
    StageError,
    StageKilled,
    StageNaN,
    StageOutOfMemory,
    StageTimeout,
)
from eraflow.machine.isolate import IsolatedResult, run_isolated
from tests.eraflow.machine.stages import ShopIsShutError

HERE = "tests.eraflow.machine.stages"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs procfs")


def isolated(function: str, folder: Path, log=None, memory_mb=2000, timeout_s=60, **more) -> IsolatedResult:
    kwargs = more.pop("kwargs", {})
    lines = log if log is not None else []
    return run_isolated(
        f"{HERE}:{function}",
        kwargs,
        memory_mb=memory_mb,
        timeout_s=timeout_s,
        log=lines.append,
        folder=folder,
        **more,
    )


def gone(pid: int, seconds: float = 2.0) -> bool:
    """Whether a process is dead, or a zombie that only waits for its parent."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def appears(path: Path, seconds: float = 10.0) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def test_value_output_and_logging_come_back(tmp_path):
    lines: list[str] = []
    outcome = isolated("add", tmp_path, lines, kwargs={"a": 1, "b": 2, "path": tmp_path})
    assert outcome.value["sum"] == 3
    assert outcome.value["path"] == str(tmp_path)
    assert outcome.value["nan"] != outcome.value["nan"]
    assert lines == ["adding", "INFO library heard"]
    assert "INFO library heard" in (tmp_path / "stage.log").read_text()
    assert outcome.seconds > 0
    assert outcome.samples


def test_child_starts_light_with_the_planned_threads(tmp_path):
    names = ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MALLOC_ARENA_MAX", "MINE"]
    kwargs = {"names": names, "plan": {"threads": 3}}
    value = isolated("environment", tmp_path, kwargs=kwargs, env={"MINE": "yes"}).value
    assert value["env"] == {
        "OMP_NUM_THREADS": "3",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MALLOC_ARENA_MAX": "2",
        "MINE": "yes",
    }
    assert value["heavy"] == []
    assert value["cwd"] == os.getcwd()


@linux_only
def test_the_kernel_would_take_the_child_first(tmp_path):
    value = isolated("kernel_view", tmp_path).value
    assert value == {"adjust": 1000, "session_leader": True, "stdin": ""}


@pytest.mark.parametrize(
    ("how", "error", "kind"),
    [
        ("kill", StageKilled, "killed"),
        ("term", StageKilled, "interrupted"),
        ("abort", StageCrashed, "abort"),
        ("bad_alloc", StageOutOfMemory, "oom"),
        ("segfault", StageCrashed, "segfault"),
        ("openblas", StageOutOfMemory, "oom"),
        ("silent", StageError, "error"),
        ("exit", StageError, "error"),
    ],
)
def test_every_death_has_a_name(tmp_path, how, error, kind):
    with pytest.raises(StageError) as caught:
        isolated("die", tmp_path, kwargs={"how": how})
    assert type(caught.value) is error
    assert caught.value.kind == kind
    assert str(tmp_path / "stage.log") in caught.value.remedy


def test_a_segfault_shows_where(tmp_path):
    with pytest.raises(StageCrashed) as caught:
        isolated("die", tmp_path, kwargs={"how": "segfault"})
    assert "in die" in caught.value.detail


@pytest.mark.parametrize(
    ("how", "error", "kind"),
    [
        ("memory", StageOutOfMemory, "oom"),
        ("lightgbm", StageOutOfMemory, "oom"),
        ("torch", StageOutOfMemory, "oom"),
        ("wrapped", StageOutOfMemory, "oom"),
        ("float", StageNaN, "nan"),
        ("nan", StageNaN, "nan"),
        ("local", StageError, "error"),
        ("plain", StageError, "error"),
    ],
)
def test_exceptions_become_stage_errors(tmp_path, how, error, kind):
    with pytest.raises(StageError) as caught:
        isolated("fail", tmp_path, kwargs={"how": how})
    assert type(caught.value) is error
    assert caught.value.kind == kind


def test_an_unknown_exception_keeps_type_message_and_traceback(tmp_path):
    with pytest.raises(StageError, match=r"KeyError.*no such column") as caught:
        isolated("fail", tmp_path, kwargs={"how": "plain"})
    assert "in fail" in caught.value.detail
    assert caught.value.seconds > 0


def test_a_named_error_arrives_as_its_own_class(tmp_path):
    with pytest.raises(ShopIsShutError) as caught:
        isolated("fail", tmp_path, kwargs={"how": "named"})
    assert str(caught.value) == str(ShopIsShutError("Monday"))
    assert caught.value.day == "Monday"
    assert "in fail" in caught.value.__notes__[0]


def test_a_value_that_is_not_json_is_an_error(tmp_path):
    with pytest.raises(StageError, match=r"builtins\.object"):
        isolated("not_json", tmp_path)


def test_a_function_that_is_not_there(tmp_path):
    with pytest.raises(StageError, match="no_such_function"):
        isolated("no_such_function", tmp_path)


def test_timeout_ends_the_stage(tmp_path):
    began = time.monotonic()
    with pytest.raises(StageTimeout, match=r"machine\.stage_minutes") as caught:
        isolated("sleep", tmp_path, timeout_s=0.5, kwargs={"seconds": 60})
    assert time.monotonic() - began < 5
    assert caught.value.kind == "timeout"


@linux_only
def test_numpy_is_stopped_at_the_ceiling(tmp_path):
    with pytest.raises(StageOutOfMemory, match=r"machine\.memory_mb") as caught:
        isolated("allocate_numpy", tmp_path, memory_mb=300, kwargs={"mb": 1500})
    assert 300 < caught.value.peak_mb < 1300


@linux_only
def test_memory_of_a_grandchild_counts(tmp_path):
    with pytest.raises(StageOutOfMemory) as caught:
        isolated("allocate_in_grandchild", tmp_path, memory_mb=150, kwargs={"mb": 400})
    assert caught.value.kind == "oom"


@linux_only
def test_pages_of_a_mapped_file_do_not_count(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"\x01" * (200 * 2**20))
    outcome = isolated("read_mapped", tmp_path, memory_mb=100, kwargs={"path": str(path)})
    assert outcome.value == 200 * 2**20 // 4096
    assert outcome.peak_mb < 100
    assert outcome.peak_rss_mb > 200


@linux_only
def test_peak_and_samples_follow_the_memory(tmp_path):
    outcome = isolated("allocate", tmp_path, kwargs={"mb": 120, "seconds": 0.4})
    assert 120 < outcome.peak_mb < 160
    assert max(value for _, value in outcome.samples) == pytest.approx(outcome.peak_mb, abs=0.1)
    assert [t for t, _ in outcome.samples] == sorted(t for t, _ in outcome.samples)


@linux_only
def test_no_orphan_survives_a_normal_end(tmp_path):
    isolated("leave_orphans", tmp_path, kwargs={"folder": str(tmp_path)})
    assert gone(appears(tmp_path / "same.pid"))
    assert gone(appears(tmp_path / "own.pid"))


def children() -> set[int]:
    """What this process has started and still lives; a server of the test session may be among it."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_cancelling_ends_the_whole_tree(tmp_path):
    before = children()

    def log(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_isolated(f"{HERE}:fail", {"how": "plain"}, memory_mb=None, timeout_s=None, log=log, folder=tmp_path)
    assert children() <= before


def test_sigterm_turned_into_an_exception_ends_the_whole_tree(tmp_path):
    class Terminated(BaseException):
        """What a flow engine makes of SIGTERM."""

    def handler(*_: object) -> None:
        raise Terminated

    def send_when_running() -> None:
        appears(tmp_path / "own.pid")
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, handler)
    sender = threading.Thread(target=send_when_running)
    sender.start()
    try:
        with pytest.raises(Terminated):
            isolated("leave_orphans", tmp_path, kwargs={"folder": str(tmp_path), "seconds": 60})
    finally:
        signal.signal(signal.SIGTERM, before)
        sender.join()
    assert gone(int((tmp_path / "same.pid").read_text()))
    assert gone(int((tmp_path / "own.pid").read_text()))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@linux_only
def test_when_the_parent_is_killed_nothing_lives_on(tmp_path, how):
    code = (
        "from eraflow.machine.isolate import run_isolated\n"
        f"run_isolated('{HERE}:leave_orphans', {{'folder': {str(tmp_path)!r}, 'seconds': 60}}, memory_mb=None,"
        f" timeout_s=None, log=print, folder={str(tmp_path)!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.getcwd()})
    try:
        with_own_session = appears(tmp_path / "own.pid")
        grandchild = appears(tmp_path / "same.pid")
        child = psutil.Process(grandchild).parent()
        assert child is not None
        parent.send_signal(how)
        parent.wait(5)
        assert gone(child.pid)
        assert gone(grandchild)
        assert gone(with_own_session)
    finally:
        parent.kill()
        parent.wait()


def test_works_from_a_thread_that_is_not_the_main_one(tmp_path):
    values: list[int] = []
    work = threading.Thread(
        target=lambda: values.append(isolated("add", tmp_path, kwargs={"a": 2, "b": 2}).value["sum"])
    )
    work.start()
    work.join(20)
    assert values == [4]


def test_progress_comes_with_an_estimate_and_not_too_often(tmp_path):
    lines: list[str] = []
    seen: list = []
    outcome = isolated("count_up", tmp_path, lines, on_progress=seen.append, kwargs={"total": 40, "pause": 0.03})
    assert lines == []
    assert seen[-1].done == seen[-1].total == 40
    assert seen[-1].seconds_left == 0
    assert 2 <= len(seen) <= 2 * outcome.seconds + 2
    assert 0 < seen[1].seconds_left < 10 * outcome.seconds


def test_a_progress_bar_that_fails_does_not_cost_the_stage(tmp_path):
    def broken(_: object) -> None:
        raise ConnectionError("no server")

    lines: list[str] = []
    isolated("count_up", tmp_path, lines, on_progress=broken, kwargs={"total": 3, "pause": 0.01})
    assert lines == ["progress is no longer shown, ConnectionError: no server"]


def test_no_line_of_a_noisy_stage_is_lost(tmp_path):
    lines: list[str] = []
    seen: list = []
    isolated("noisy", tmp_path, lines, on_progress=seen.append, kwargs={"lines": 30_000})
    assert lines[:2] == ["10%", "20%"]
    assert len(lines) == 30_003
    assert lines[-1] == "no end"
    assert seen[-1].label == "bar"


def test_a_result_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError):
        isolated("full_disk", tmp_path, kwargs={"folder": str(tmp_path)})


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        isolated("add", tmp_path / "file", kwargs={"a": 1, "b": 1})


def test_the_result_of_an_earlier_attempt_is_not_taken(tmp_path):
    (tmp_path / "out.json").write_text(json.dumps({"ok": True, "value": "old"}))
    with pytest.raises(StageKilled):
        isolated("die", tmp_path, kwargs={"how": "kill"})


def test_errors_survive_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(StageOutOfMemory("p", "r", peak_mb=12.0, detail="d")))
    assert isinstance(error, EraflowError)
    assert (error.kind, error.peak_mb, error.detail, str(error)) == ("oom", 12.0, "d", "out_of_memory: p; r")


@linux_only
def test_without_the_linux_ways_it_still_works(tmp_path, monkeypatch):
    """As on macOS: no procfs, no handle to wait on. Memory is then the resident size."""
    before = children()
    monkeypatch.setattr("eraflow.machine.processtree.sys.platform", "darwin")
    monkeypatch.setattr("eraflow.machine.processtree._kib_fields", lambda path: {})
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert isolated("add", tmp_path, kwargs={"a": 1, "b": 1}).value["sum"] == 2
    with pytest.raises(StageOutOfMemory):
        isolated("allocate_in_grandchild", tmp_path, memory_mb=150, kwargs={"mb": 400})
    assert children() <= before
