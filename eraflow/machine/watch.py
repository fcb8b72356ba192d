"""Watching a process tree from outside: its memory ten times a second, its deadline, and its end.

Memory here means what the kernel cannot drop: anonymous pages, shared memory and swap. The pages of a memory-mapped era
store are in the resident size too, but they are clean copies of a file and go away when somebody needs the room.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

POLL_SECONDS = 0.1
CLOSE_POLL_SECONDS = 0.02  # near the ceiling: memory grows by some GiB a second at most, so this is 50 MiB or so
CLOSE_SHARE = 0.8
MAX_SAMPLES = 600
MIB = 1024 * 1024

Breach = Literal["memory", "timeout"]


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
            found = _session_members(self.pid) | _descendants(self.pid)
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


def _descendants(pid: int) -> set[int]:
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


class Series:
    """Memory over time in at most 600 points: when full, neighbours are merged, and the higher one stays."""

    def __init__(self, limit: int = MAX_SAMPLES) -> None:
        self._limit = limit
        self._width = 0.0
        self.points: list[tuple[float, float]] = []

    def add(self, seconds: float, value: float) -> None:
        """Add a value (MiB) at a time (s)."""
        if self.points and seconds < self.points[-1][0] + self._width:
            self.points[-1] = (self.points[-1][0], max(self.points[-1][1], value))
        else:
            self.points.append((seconds, value))
        if len(self.points) > self._limit:
            self._merge()

    def _merge(self) -> None:
        pairs = [self.points[i : i + 2] for i in range(0, len(self.points), 2)]
        self.points = [(pair[0][0], max(value for _, value in pair)) for pair in pairs]
        self._width = (self.points[-1][0] - self.points[0][0]) / max(len(self.points) - 1, 1)


class Watchdog(threading.Thread):
    """Polls the memory of a tree and its deadline, and kills the tree when either is passed.

    A thread of its own, so that a log or a progress bar that hangs cannot let the memory grow unseen.

    Attributes:
        breach: which ceiling was passed, or None.
        at_breach_mb: the memory at that moment, MiB.
        peak: highest figures seen, MiB.
        samples: memory over time.
    """

    def __init__(self, tree: ProcessTree, memory_mb: float | None, timeout_s: float | None) -> None:
        super().__init__(name=f"watchdog-{tree.pid}", daemon=True)
        self.breach: Breach | None = None
        self.at_breach_mb = 0.0
        self.peak = Usage(0.0, 0.0)
        self.samples = Series()
        self.fault: Exception | None = None
        self._tree, self._memory_mb, self._timeout_s = tree, memory_mb, timeout_s
        self._began = time.monotonic()
        self._done = threading.Event()

    def run(self) -> None:
        """Look until told to stop, or until a ceiling is passed."""
        try:
            pause = 0.0
            while not self._done.wait(pause) and self.breach is None:
                pause = self._look()
        except Exception as error:  # noqa: BLE001 - a stage that nobody watches must not go on; the parent raises this
            self.fault = error
            self._tree.kill()

    def stop(self) -> None:
        """End the watch and wait for its last look, so that the figures stand still."""
        self._done.set()
        if self.is_alive():
            self.join()

    @property
    def seconds(self) -> float:
        """Time since the watch began."""
        return time.monotonic() - self._began

    def _look(self) -> float:
        now = usage(self._tree.refresh(), self._memory_mb)
        self.peak = Usage(max(self.peak.memory_mb, now.memory_mb), max(self.peak.rss_mb, now.rss_mb))
        self.samples.add(round(self.seconds, 2), round(now.memory_mb, 1))
        if self._memory_mb is not None and now.memory_mb > self._memory_mb:
            self._end("memory", now.memory_mb)
        elif self._timeout_s is not None and self.seconds > self._timeout_s:
            self._end("timeout", now.memory_mb)
        near = self._memory_mb is not None and now.memory_mb > CLOSE_SHARE * self._memory_mb
        return CLOSE_POLL_SECONDS if near else POLL_SECONDS

    def _end(self, breach: Breach, memory_mb: float) -> None:
        self.breach, self.at_breach_mb = breach, memory_mb
        self._tree.kill()


class ExitWait:
    """Waits for the end of a process without taking its exit code, so that its number stays its own until `wait`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._poll: select.poll | None = None
        self._handle = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # a kernel before 5.3, or a sandbox that forbids the call
                self._handle = os.pidfd_open(process.pid)
                self._poll = select.poll()
                self._poll.register(self._handle, select.POLLIN)

    def ended(self, seconds: float) -> bool:
        """Whether the process ends within `seconds`."""
        if self._poll is not None:
            return bool(self._poll.poll(seconds * 1000))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def close(self) -> None:
        """Give the handle back."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
