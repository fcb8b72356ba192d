"""How a test runs one of `stages` in a child, and what has become of a process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from eraflow.machine.isolate import IsolatedResult, run_isolated

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


def children() -> set[int]:
    """What this process has started and still lives; a server of the test session may be among it."""
    return {child.pid for child in psutil.Process().children(recursive=True)}
