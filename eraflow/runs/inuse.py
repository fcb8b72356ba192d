"""Whether runs are at work in a home: each holds a shared lock, which the kernel drops with its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.disk.locks import hold, my_turn

IN_USE = ".in-use.lock"


@contextmanager
def in_use(home: Path) -> Iterator[None]:
    """Tell cleanings that a run is at work: what runs share stays until the last of them has ended.

    Raises:
        StorageError, NoLocksError: the home cannot be written or locked.
    """
    with my_turn(home / IN_USE, shared=True):  # a cleaning holds it for a rename only
        yield


@contextmanager
def idle(home: Path) -> Iterator[bool]:
    """Whether no run is at work; while the block lasts, none begins.

    Raises:
        StorageError, NoLocksError: the home cannot be written or locked.
    """
    handle = hold(home / IN_USE)
    if handle is None:
        yield False
        return
    with handle:
        yield True
