"""A mark in the environment of everything a stage starts, by which its processes are found wherever they went."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

STAGE_VARIABLE = "ERAFLOW_STAGE_ID"


def marked_processes(stage_id: str) -> list[int]:
    """Numbers of the processes that carry the mark, this one left out. Empty where procfs does not tell."""
    if sys.platform != "linux":
        return []
    mark = f"{STAGE_VARIABLE}={stage_id}\0".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):  # gone meanwhile, or another user's
                if mark in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
    return found


def kill_marked(stage_id: str) -> None:
    """SIGKILL to every process that carries the mark."""
    for pid in marked_processes(stage_id):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
