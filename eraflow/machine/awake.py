"""Time in which this process could run: it stands still while the computer sleeps and while the process is stopped.

A deadline says how long somebody is waited for. A laptop that was closed for the night, and a run that was stopped
(Ctrl-Z, SIGSTOP, a paused virtual machine), waited for nobody meanwhile. The system's monotonic clock leaves the sleep
of a computer out on Linux and macOS, but counts the rest; the wall clock counts all of it and jumps besides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

TICK_SECONDS = 1.0
GAP_SECONDS = 5.0
"""When nobody has ticked for so long, the process did not run; a busy computer delays a tick by less."""


class AwakeClock:
    """Seconds, as `time.monotonic` tells them, without those in which this process did not run.

    Args:
        clock: the clock below; replaced in tests.
        ticking: whether a thread of its own ticks; without one, or with a test's own `tick`, nothing else is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, ticking: bool = True) -> None:
        self._clock, self._wants_thread = clock, ticking
        self._lock = threading.Lock()
        self._last: float | None = None
        self._asleep = 0.0

    def __call__(self) -> float:
        """The time now."""
        if self._last is None and self._wants_thread:
            self._start()
        return self.tick() if self._last is not None else self._clock()

    def tick(self) -> float:
        """Note that the process runs; the time now."""
        with self._lock:
            now = self._clock()
            if self._last is not None and now - self._last > GAP_SECONDS:
                self._asleep += now - self._last - TICK_SECONDS
            self._last = now
            return now - self._asleep

    def _start(self) -> None:
        self._wants_thread = False
        thread = threading.Thread(target=self._tick_on, name="awake", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread is to be had: then this is the clock below
            return
        self.tick()

    def _tick_on(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            self.tick()


awake = AwakeClock()
"""The clock of this process."""


def join_awake(thread: threading.Thread, seconds: float) -> None:
    """Wait for a thread, at most so long; time in which this process did not run does not count."""
    until = awake() + seconds
    while thread.is_alive() and (left := until - awake()) > 0:
        thread.join(min(left, TICK_SECONDS))


def since_boot() -> float:
    """Seconds that no setting of the wall clock changes, those of sleep included; they begin anew with each boot."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def this_boot() -> str:
    """What tells one boot of this computer from another; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
