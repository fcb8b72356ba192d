"""Everything that a stage has started: which processes belong to it, and how much memory they hold together.

Memory here means what the kernel cannot drop: anonymous pages, shared memory and swap. The pages of a memory-mapped era
store are in the resident size too, but they are clean copies of a file and go away when somebody needs the room.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """Memory of a set of processes, MiB: what the kernel cannot drop, and the resident size as `top` shows it."""

    memory_mb: float
    rss_mb: float


class ProcessTree:
    """A process that leads its own session, and everything that comes from it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._known: dict[int, psutil.Process] = {}
        self._lock = threading.Lock()  # the watchdog looks while the waiting thread may kill

    def refresh(self) -> list[int]:
        """The living members: of the session, the descendants, and those seen before that have left both."""
        with self._lock:
            found = _session_members(self.pid) | descendants(self.pid)
            for pid in found - self._known.keys():
                with contextlib.suppress(psutil.Error):
                    self._known[pid] = psutil.Process(pid)
            for pid in self._known.keys() - found:
                if not self._known[pid].is_running():
                    del self._known[pid]
            return list(self._known)

    def kill(self) -> None:
        """SIGKILL to every member. To be called before the leader is waited for, while its number is its own."""
        for _ in range(2):  # the second time for what was born during the first
            self.refresh()
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
            with self._lock:
                members = list(self._known.values())
            for process in members:
                with contextlib.suppress(psutil.Error):
                    process.kill()


def _session_members(leader: int) -> set[int]:
    if sys.platform != "linux":
        return set()
    members = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(name)) == leader:
                    members.add(int(name))
    return members


def descendants(pid: int) -> set[int]:
    """The process and its descendants, also those that opened a session of their own."""
    if not Path(f"/proc/{pid}/task/{pid}/children").exists():  # not Linux, or a kernel without these files
        with contextlib.suppress(psutil.Error):
            return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
        return {pid}
    found, waiting = {pid}, [pid]
    while waiting:
        children = _children(waiting.pop()) - found
        found |= children
        waiting.extend(children)
    return found


def _children(pid: int) -> set[int]:
    children: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                children.update(map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split()))
    return children


def usage(pids: list[int], ceiling_mb: float | None = None) -> Usage:
    """Memory of the given processes together; those that are gone count nothing.

    The sum counts shared pages once for every process that maps them. When that alone would pass the ceiling, and no
    single process passes it, the slow exact figure decides.
    """
    parts = [_usage_of(pid) for pid in pids]
    memory, rss = sum(part.memory_mb for part in parts), sum(part.rss_mb for part in parts)
    if ceiling_mb is not None and memory > ceiling_mb >= max(part.memory_mb for part in parts):
        memory = min(memory, _shared_once_mb(pids))
    return Usage(memory, rss)


def _usage_of(pid: int) -> Usage:
    fields = _kib_fields(f"/proc/{pid}/status")
    if "RssAnon" in fields:
        memory = fields["RssAnon"] + fields.get("RssShmem", 0) + fields.get("VmSwap", 0)
        return Usage(memory / 1024, fields.get("VmRSS", 0) / 1024)
    if sys.platform == "linux":  # gone, or waiting to be waited for
        return Usage(0.0, 0.0)
    with contextlib.suppress(psutil.Error):
        rss = psutil.Process(pid).memory_info().rss / MIB
        return Usage(rss, rss)
    return Usage(0.0, 0.0)


def _shared_once_mb(pids: list[int]) -> float:
    """Memory with the pages that several processes share counted once. Slow: the kernel walks the page tables."""
    total = 0.0
    for pid in pids:
        fields = _kib_fields(f"/proc/{pid}/smaps_rollup")
        if "Pss_Anon" in fields:
            total += (fields["Pss_Anon"] + fields.get("Pss_Shmem", 0) + fields.get("SwapPss", 0)) / 1024
        else:
            total += _usage_of(pid).memory_mb
    return total


def _kib_fields(path: str) -> dict[str, int]:
    """The lines `Name:   123 kB` of a file in procfs."""
    try:
        words = [line.split() for line in Path(path).read_bytes().decode("ascii", "replace").splitlines()]
    except OSError:
        return {}
    return {line[0].rstrip(":"): int(line[1]) for line in words if len(line) == 3 and line[2] == "kB"}
