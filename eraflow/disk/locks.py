"""Locks on files, for all that needs one: the kernel drops a lock with the process that holds it.

Nothing else of Eraflow asks the kernel for a lock. A lock belongs to an open file: a second opening of the same file,
by another process, another thread or the same one, is another holder. Whoever holds a lock closes the file to let go.

Not the library filelock: it knows no shared locks of the kernel, locks paths and not a file that has a content of its
own, and where a file system has no locks it may fall back on marker files, which outlive their owner.
"""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from eraflow.disk.atomic import storage_errors
from eraflow.errors import EraflowError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: WSL2 has locks
    fcntl = None  # type: ignore[assignment]

POLL_SECONDS = 0.2
HELD_BY_ANOTHER = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})


class NoLocksError(EraflowError):
    """The file system cannot lock a file, so that two processes could spoil each other's work. Use another place."""

    code = "no_locks"


def take(file: IO[Any], *, shared: bool = False) -> bool:
    """Hold the lock of an open file until it is closed or this process ends, unless another holds it.

    Args:
        file: open for reading and writing: some network file systems ask for both.
        shared: others that share may hold it at the same time.

    Returns:
        Whether it is held now.

    Raises:
        NoLocksError: there are no locks on this file system, or none on this system.
        StorageError: the disk does not work.
    """
    if fcntl is None:  # pragma: no cover - Windows
        raise NoLocksError(f"{file.name} cannot be locked: this system has no file locks", "work under WSL2")
    try:
        fcntl.flock(file.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD_BY_ANOTHER:
            return False
        if error.errno in WITHOUT_LOCKS:
            raise NoLocksError(
                f"{file.name} cannot be locked: its file system has no locks ({os.strerror(error.errno)})",
                "choose a place on a disk of this computer (home, --run-dir or the output), or mount that file system "
                "with locks",
            ) from error
        with storage_errors(file.name):
            raise
    return True


def hold(path: Path, *, shared: bool = False) -> BinaryIO | None:
    """The open lock file, held until it is closed; None where another holds it.

    Args:
        path: made when it is absent, with its folder; what it holds stays.
        shared: others that share may hold it at the same time.

    Raises:
        NoLocksError: there are no locks there.
        StorageError: the file cannot be made.
    """
    while True:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = io.FileIO(path, "r+b", opener=_made)
        try:
            taken = take(file, shared=shared)
            if taken and is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        if not taken:
            return None
        # Else the last holder had removed the file: this lock keeps nobody out, and the next try makes another.


def own(path: Path) -> BinaryIO:
    """`hold` what nobody else has.

    Raises:
        BlockingIOError: somebody has it.
        NoLocksError, StorageError: as `hold`.
    """
    file = hold(path)
    if file is None:
        raise BlockingIOError(errno.EWOULDBLOCK, "another process holds the lock", str(path))
    return file


def wait_for(
    path: Path,
    must_wait: Callable[[], object] | None = None,
    *,
    shared: bool = False,
    poll_seconds: float = POLL_SECONDS,
) -> BinaryIO:
    """`hold`, however long it takes. Nobody waits for the dead, but whoever holds it already waits for ever.

    Args:
        path: removed by nobody but its holder, who then lets in whoever opens it next.
        must_wait: called once, before waiting, when another holds it.
        shared: others that share may hold it at the same time.
        poll_seconds: between two tries.

    Raises:
        NoLocksError, StorageError: as `hold`.
    """
    told = False
    while (file := hold(path, shared=shared)) is None:
        if must_wait is not None and not told:
            must_wait()
            told = True
        time.sleep(poll_seconds)  # and not in the kernel, where Ctrl-C would have to wait, too
    return file


@contextmanager
def my_turn(
    path: Path,
    must_wait: Callable[[], object] | None = None,
    *,
    shared: bool = False,
    poll_seconds: float = POLL_SECONDS,
) -> Iterator[None]:
    """Hold the lock file while the block runs; arguments and errors are those of `wait_for`."""
    with wait_for(path, must_wait, shared=shared, poll_seconds=poll_seconds):
        yield


def owner_is_dead(path: Path | str) -> bool:
    """Whether nobody holds the lock; False where that cannot be known: no such file, another user's, no locks there."""
    try:
        with open(path, "r+b", buffering=0) as file:
            return take(file)
    except (OSError, EraflowError):
        return False


def is_at(file: IO[Any], path: Path) -> bool:
    """Whether the open file still has this name: it may have been removed, or another renamed over it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _made(path: str, flags: int) -> int:
    """Open a file that may not be there yet; nothing of what it holds is lost."""
    return os.open(path, flags | os.O_CREAT, 0o666)
