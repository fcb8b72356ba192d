"""How a child's end is named: what the kernel counted, how near the budget it was, and its last words."""

from __future__ import annotations

import signal

import pytest

from eraflow.disk.atomic import StorageError
from eraflow.machine import exits
from eraflow.machine.cgroups import oom_kills as group_oom_kills
from eraflow.machine.exits import Remains, oom_kills, value_or_raise
from eraflow.machine.failures import StageError


def remains(tmp_path, code, **over):
    known = {
        "target": "stages:work",
        "log_file": tmp_path / "stage.log",
        "returncode": code,
        "tail": (),
        "record": None,
        "breach": None,
        "at_breach_mb": 0.0,
        "peak_mb": 400.0,
        "seconds": 3.0,
        "memory_mb": 1000.0,
        "timeout_s": None,
    }
    return Remains(**{**known, **over})


def death(tmp_path, code, **over):
    with pytest.raises(StageError) as caught:
        value_or_raise(remains(tmp_path, code, **over))
    return caught.value


@pytest.mark.parametrize("code", [-9, 137])
@pytest.mark.parametrize(
    ("over", "kind"),
    [
        ({}, "killed"),
        ({"oom_kills_rose": True}, "oom"),
        ({"peak_mb": 905.0}, "oom"),
        ({"peak_mb": 905.0, "memory_mb": None}, "killed"),
        ({"memory_mb": None, "oom_kills_rose": True}, "oom"),
    ],
)
def test_a_sigkill_is_the_kernels_only_with_a_sign_that_memory_was_short(tmp_path, code, over, kind):
    error = death(tmp_path, code, **over)
    assert error.kind == kind
    assert ("machine.memory_mb" in str(error) or "free some memory" in str(error)) == (kind == "oom")


@pytest.mark.parametrize(
    ("code", "last", "kind"),
    [
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", "oom"),
        (-6, "CUDA error 2: out of memory", "vram"),
        (-6, "terminate: CUDA error: an illegal memory access was encountered", "gpu_lost"),
        (1, "write: No space left on device", "disk_full"),
        (-6, "pure virtual method called", "abort"),
        (1, "bye", "error"),
        (-11, "std::bad_alloc", "segfault"),
    ],
)
def test_the_last_words_name_an_abort(tmp_path, code, last, kind):
    assert death(tmp_path, code, tail=("working", last)).kind == kind


def test_a_bus_error_on_a_full_disk_is_the_disks(tmp_path, monkeypatch):
    """What a process gets that writes to a mapped file when there is no room."""
    assert death(tmp_path, -signal.SIGBUS).kind == "segfault"
    monkeypatch.setattr(exits, "_no_room", lambda place: True)
    error = death(tmp_path, -signal.SIGBUS)
    assert error.kind == "disk_full"
    assert "make room" in str(error)
    assert death(tmp_path, -signal.SIGSEGV).kind == "segfault"


def test_a_storage_error_of_a_full_disk_comes_back_as_itself_and_is_called_disk_full(tmp_path):
    record = {
        "ok": False,
        "type": "eraflow.disk.atomic:StorageError",
        "kind": "disk_full",
        "message": "storage: full",
        "problem": "full",
        "remedy": "make room",
        "attributes": {},
        "traceback": "",
    }
    with pytest.raises(StorageError) as caught:
        value_or_raise(remains(tmp_path, 1, record=record))
    assert caught.value.kind == "disk_full"


def test_the_kernels_count_is_read_from_vmstat_and_from_the_groups(tmp_path):
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 12\noom_kill 3\n")
    assert exits._computer_oom_kills(vmstat) == 3
    vmstat.write_text("nr_free_pages 12\n")
    assert exits._computer_oom_kills(vmstat) == 0
    assert exits._computer_oom_kills(tmp_path / "nothing") == 0
    assert oom_kills() >= 0

    proc, group = tmp_path / "proc", tmp_path / "root" / "sys" / "fs" / "cgroup" / "box"
    proc.mkdir()
    group.mkdir(parents=True)
    (proc / "cgroup").write_text("0::/box\n")
    (proc / "mountinfo").write_text("30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (group / "memory.events").write_text("low 0\noom 2\noom_kill 5\noom_group_kill 0\n")
    assert group_oom_kills(proc, tmp_path / "root") == 5
    assert group_oom_kills(tmp_path / "nothing", tmp_path / "root") == 0
