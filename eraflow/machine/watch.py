"""Watching a process tree from outside: its memory ten times a second, its deadline, and its end.

What changes slowly (disk, GPU, temperature) is looked at in `eraflow.machine.recorder`, off this fast path.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from eraflow.machine.awake import awake
from eraflow.machine.processtree import ProcessTree, Usage, usage
from eraflow.machine.series import Series

POLL_SECONDS = 0.1
CLOSE_POLL_SECONDS = 0.02  # near the ceiling: memory grows by some GiB a second at most, so this is 50 MiB or so
CLOSE_SHARE = 0.8
SOFT_SHARE = 0.85
"""Above this share of its budget a stage is warned of, once."""

Breach = Literal["memory", "timeout", "disk", "vram"]


class Allowance(Protocol):
    """A memory ceiling that may move while the stage runs, because other stages come and go."""

    def ceiling_mb(self, used_mb: float) -> float:
        """The ceiling now, MiB, told that the stage uses `used_mb`. Called ten times a second and more: cheap."""


@dataclass(frozen=True)
class Limits:
    """What ends a stage. None leaves a limit out.

    Attributes:
        memory: ceiling of the whole process tree, MiB, or something that tells it.
        timeout_s: deadline in seconds.
        disk_floor_mb: the stage's disk must keep this much free, MiB.
        vram_mb: ceiling of the tree's GPU memory, MiB.
        smaller_plan: whether the stage is tried again with less when its memory ends it.
    """

    memory: float | Allowance | None = None
    timeout_s: float | None = None
    disk_floor_mb: float | None = None
    vram_mb: float | None = None
    smaller_plan: bool = False


class Watchdog(threading.Thread):
    """Polls the memory of a tree and its deadline, and kills the tree when either is passed.

    A thread of its own, so that a log or a progress bar that hangs cannot let the memory grow unseen.

    Attributes:
        limits: what it watches for.
        breach: which limit was passed, or None.
        at_breach: the figure at that moment: MiB of memory, free disk or GPU memory.
        budget_mb: the memory ceiling as it was last, MiB; None without one.
        peak: highest figures seen, MiB.
        samples: memory over time.
        soft_at: seconds after which the soft limit was passed, or None.
    """

    def __init__(self, tree: ProcessTree, limits: Limits) -> None:
        super().__init__(name=f"watchdog-{tree.pid}", daemon=True)
        self.limits = limits
        self.breach: Breach | None = None
        self.at_breach = 0.0
        self.budget_mb: float | None = None
        self.peak = Usage(0.0, 0.0)
        self.samples = Series()
        self.soft_at: float | None = None
        self.fault: Exception | None = None
        self._tree = tree
        self._notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._began = awake()
        self._done = threading.Event()
        self._ending = threading.Lock()
        self._set_budget(0.0)

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

    def end(self, breach: Breach, figure: float) -> None:
        """Kill the tree because a limit was passed; the first one that is noticed is the reason."""
        with self._ending:
            if self.breach is None:
                self.breach, self.at_breach = breach, figure
        self._tree.kill()

    def note(self, line: str) -> None:
        """Leave a line for the log; the waiting thread takes it from `notes`."""
        self._notes.put(line)

    def notes(self) -> Iterator[str]:
        """Lines that have come since the last call."""
        while not self._notes.empty():
            yield self._notes.get_nowait()

    @property
    def seconds(self) -> float:
        """Time since the watch began, without that in which the computer slept or this process was stopped."""
        return awake() - self._began

    def _set_budget(self, used_mb: float) -> None:
        memory = self.limits.memory
        self.budget_mb = memory if memory is None or isinstance(memory, int | float) else memory.ceiling_mb(used_mb)

    def _look(self) -> float:
        now = usage(self._tree.refresh(), self.budget_mb)
        self.peak = Usage(max(self.peak.memory_mb, now.memory_mb), max(self.peak.rss_mb, now.rss_mb))
        self.samples.add(round(self.seconds, 2), round(now.memory_mb, 1))
        self._set_budget(now.memory_mb)
        if self.budget_mb is not None and now.memory_mb > self.budget_mb:
            self.end("memory", now.memory_mb)
        elif self.limits.timeout_s is not None and self.seconds > self.limits.timeout_s:
            self.end("timeout", now.memory_mb)
        if self.budget_mb is None:
            return POLL_SECONDS
        self._soft(now.memory_mb, self.budget_mb)
        return CLOSE_POLL_SECONDS if now.memory_mb > CLOSE_SHARE * self.budget_mb else POLL_SECONDS

    def _soft(self, used_mb: float, budget_mb: float) -> None:
        if self.soft_at is None and used_mb > SOFT_SHARE * budget_mb:
            self.soft_at = round(self.seconds, 2)
            then = " and tried again with a smaller plan" if self.limits.smaller_plan else "; no smaller plan is left"
            self.note(
                f"WARNING memory is at {used_mb:.0f} MiB of a budget of {budget_mb:.0f} MiB (machine.memory_mb); "
                f"above it the stage is ended{then}"
            )


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
