"""Processes that need one thing each for itself take turns: whoever comes second waits, and says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.disk.atomic import storage_errors
from eraflow.disk.locks import take

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
        while not take(handle):
            if not told:
                must_wait()
                told = True
            time.sleep(POLL_SECONDS)  # and not in the kernel, where Ctrl-C would have to wait, too
        yield
