"""How far a stage is: one marked line from the child, an estimate of the time left in the parent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

MARK = "\x1e"  # the ASCII record separator: no log line contains it by accident
ENVIRONMENT_FLAG = "ERAFLOW_PROGRESS"  # set by the parent; the child's own workers inherit it
SECONDS_BETWEEN = 0.5
MAX_LABEL = 200  # a marked line stays below PIPE_BUF (4096), so that writes of several processes never mix

_last_sent = 0.0


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        done: work done so far, in the stage's own unit.
        total: all of it, in the same unit.
        label: what is being done now.
        seconds: since the stage began.
        seconds_left: estimate by the rate so far; None while there is none.
    """

    done: float
    total: float
    label: str
    seconds: float
    seconds_left: float | None

    @property
    def fraction(self) -> float:
        """Done part, 0 to 1."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 0.0

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", about {readable_seconds(self.seconds_left)} left"
        return f"{self.label} {self.done:g} of {self.total:g} ({self.fraction:.0%}){left}".strip()


def readable_seconds(seconds: float) -> str:
    """A duration for people: 45 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def report(done: float, total: float, label: str = "") -> None:
    """Tell the parent how far this stage is. Does nothing outside an isolated child, so stages may always call it.

    At most about two lines a second are sent; the last one (done == total) always is.
    """
    global _last_sent
    if ENVIRONMENT_FLAG not in os.environ:
        return
    now = time.monotonic()
    if done < total and now - _last_sent < SECONDS_BETWEEN:
        return
    _last_sent = now
    send_progress("progress", [float(done), float(total), label[:MAX_LABEL]])


def send_progress(name: str, content: object) -> None:
    """Write one marked line to the process's real standard output, whatever the library made of sys.stdout."""
    os.write(1, f"{MARK}{name} {json.dumps(content)}\n".encode())


class ProgressMeter:
    """The parent's side: turns marks into `Progress` with an estimate, and passes on about two a second.

    The rate counts from the first mark, not from the start, so that a resumed stage (which begins at fold 3 of 5) is
    not taken for a fast one. A smaller `done` or another `total` begins a new measurement.
    """

    def __init__(self, deliver: Callable[[Progress], None] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._deliver = deliver
        self._clock = clock
        self._began = clock()
        self._delivered = float("-inf")
        self._base: tuple[float, float, float] | None = None  # time, done, total
        self._latest: Progress | None = None
        self._waiting = False

    def feed(self, content: object) -> None:
        """Take the content of one mark; anything malformed is ignored, it came from somebody's print."""
        if not isinstance(content, list) or len(content) != 3:
            return
        done, total, label = content
        if not isinstance(done, float) or not isinstance(total, float):
            return
        now = self._clock()
        if self._base is None or total != self._base[2] or (self._latest and done < self._latest.done):
            self._base = (now, done, total)
        self._latest = Progress(done, total, str(label), now - self._began, self._left(now, done, total))
        self._waiting = True

    def _left(self, now: float, done: float, total: float) -> float | None:
        if self._base is None or done >= total:
            return 0.0 if done >= total else None
        since, start, _ = self._base
        return (total - done) * (now - since) / (done - start) if done > start else None

    def flush(self, *, final: bool = False) -> None:
        """Deliver the latest progress when half a second has passed since the last one, or at the end."""
        if not self._waiting or self._latest is None or self._deliver is None:
            return
        now = self._clock()
        if final or now - self._delivered >= SECONDS_BETWEEN:
            self._waiting, self._delivered = False, now
            self._deliver(self._latest)
