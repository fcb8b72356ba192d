"""Waiting for what other programs of this computer hold for a while: memory, threads and processes.

A stage that is begun in the middle of such a shortage dies of it, whatever its plan; and each attempt that it costs
makes the next plan smaller for nothing. So it is asked for before an attempt: as many threads as the plan has are
started, and as much memory as it needs is reserved, for a moment and without touching it.
"""

from __future__ import annotations

import errno
import mmap
import threading
import time
from collections.abc import Callable

from eraflow.machine.resources import NotEnoughMemoryError

LOOK_SECONDS = 1.0
TELL_SECONDS = 60.0
SPARE_THREADS = 8
"""Beside those of a plan: the watch, the log, and the threads that libraries start unasked."""
MIB = 1 << 20


def wait_out(
    memory_mb: float,
    threads: int,
    *,
    name: str,
    log: Callable[[str], None],
    wait_s: float,
    look: Callable[[float, int], str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return as soon as a stage can have so much memory (MiB) and so many threads.

    Args:
        memory_mb, threads: what it needs at least.
        name: of the stage.
        log: takes a line at the beginning of a wait, and each minute.
        wait_s: the longest wait.
        look, sleep: replaced in tests; `look` is `shortage`.

    Raises:
        NotEnoughMemoryError: the shortage lasted to the end of the wait.
    """
    look = look or shortage
    waited, told_at = 0.0, float("-inf")
    while short := look(memory_mb, threads):
        if waited >= wait_s:
            raise NotEnoughMemoryError(
                f"{name} cannot begin, this computer is short of memory or threads ({short})"
                + (f", still after {waited:.0f} s of waiting" if waited else ""),
                "close other programs, raise the limits of this user (ulimit -u, ulimit -v) or of the container, lower "
                "machine.threads, or raise machine.wait_minutes, then run again",
            )
        if waited - told_at >= TELL_SECONDS:
            told_at = waited
            log(f"{name} waits for memory or threads that other programs hold: {short}")
        pause = min(LOOK_SECONDS, wait_s - waited)
        sleep(pause)
        waited += pause


def shortage(memory_mb: float, threads: int) -> str:
    """What this computer refuses to give now; empty when it gives it."""
    return _of_memory(memory_mb) or _of_threads(threads + SPARE_THREADS)


def _of_memory(memory_mb: float) -> str:
    try:
        mmap.mmap(-1, max(1, int(memory_mb * MIB))).close()
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", errno.ENOMEM) in (errno.ENOMEM, errno.EAGAIN):
            return f"{memory_mb:.0f} MiB cannot be reserved: {error}"
    return ""


def _of_threads(count: int) -> str:
    """Start so many threads at once, and let them all end."""
    enough = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=enough.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError as error:  # Python's word for EAGAIN
        return f"{len(started)} of {count} threads could be started: {error}"
    finally:
        enough.set()
        for thread in started:
            thread.join()
    return ""
