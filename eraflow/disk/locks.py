"""Lock files, and whether their owner is alive: the kernel drops a lock with the process that holds it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no fcntl; there nobody is known to be dead
    fcntl = None  # type: ignore[assignment]

CAN_TELL = fcntl is not None
"""Whether locks tell anything on this system."""


def own(file: IO[str]) -> None:
    """Hold the lock of an open file, which nobody else has, until it is closed or this process ends."""
    if fcntl is not None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def take(file: IO[Any]) -> bool:
    """Hold the lock of an open file unless another holds it; whether it is held now.

    Where there are no locks, on this system or in this file system, everybody goes on without.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def owner_is_dead(path: Path | str) -> bool:
    """Whether nobody holds the lock; False where that cannot be known: no such file, another user's, no locks here."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
