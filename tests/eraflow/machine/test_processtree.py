"""The memory of a stage is that of its whole tree of processes, and all of the tree ends."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from eraflow.machine.failures import StageOutOfMemory
from eraflow.machine.isolate import run_isolated
from tests.eraflow.machine.isolated import HERE, appears, children, gone, isolated, linux_only


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
