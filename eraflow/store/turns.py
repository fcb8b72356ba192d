"""Processes that need one thing each for itself take turns: whoever comes second waits, and says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.store.atomic import storage_errors

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no fcntl; there nobody waits
    fcntl = None  # type: ignore[assignment]

POLL_SECONDS = 0.2


@contextmanager
def my_turn(path: Path, must_wait: Callable[[], object]) -> Iterator[None]:
    """Hold the lock file `path` while the block runs. The kernel drops it with its owner, so nobody waits for the dead.

    Args:
        path: made when it is absent, and left there: removing a file that others wait for lets two in.
        must_wait: called once, before waiting, when another process holds it.

    Raises:
        StorageError: the file cannot be made.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    with handle:
        told = False
        while not _taken(handle.fileno()):
            if not told:
                must_wait()
                told = True
            time.sleep(POLL_SECONDS)  # and not in the kernel, where Ctrl-C would have to wait, too
        yield


def _taken(descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
