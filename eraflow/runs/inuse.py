"""Whether runs are at work in a home: each holds a shared lock, which the kernel drops with its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eraflow.disk.atomic import storage_errors

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: nobody is known to be idle there, so nothing shared is removed
    fcntl = None  # type: ignore[assignment]

IN_USE = ".in-use.lock"


@contextmanager
def in_use(home: Path) -> Iterator[None]:
    """Tell cleanings that a run is at work: what runs share stays until the last of them has ended.

    Raises:
        StorageError: the home cannot be written.
    """
    with storage_errors(home):
        handle = (home / IN_USE).open("ab")
    with handle:
        if fcntl is not None:
            # A cleaning holds it for a rename only. On a file system without locks it finds nobody idle, either.
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_SH)
        yield


@contextmanager
def idle(home: Path) -> Iterator[bool]:
    """Whether no run is at work; while the block lasts, none begins."""
    if fcntl is None:
        yield False
        return
    with storage_errors(home):
        handle = (home / IN_USE).open("ab")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
