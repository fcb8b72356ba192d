"""Folders that are kept for later runs, each under a key: made by one process at a time, whole or not at all.

FOLDER/KEY/          an entry
FOLDER/KEY.lock      held by whoever makes, takes or removes it
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.disk.atomic import TEMPORARY, StorageError, storage_errors
from eraflow.disk.locks import NoLocksError, wait_for


def lock_of(folder: Path, key: str) -> Path:
    """The file of an entry's lock."""
    return folder / f"{key}.lock"


@contextmanager
def turn(folder: Path, key: str, waiting: Callable[[], None], unshared: Callable[[Exception], None]) -> Iterator[bool]:
    """Keep others from making the same entry at the same time; gives whether that could be done.

    Args:
        folder: of all entries; made when it is needed.
        key: of the entry.
        waiting: called once where another process has its turn.
        unshared: called with the reason where there are no locks.
    """
    lock = None
    try:
        lock = wait_for(lock_of(folder, key), waiting)
    except (StorageError, NoLocksError) as error:
        unshared(error)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.close()


def put(folder: Path, key: str, write: Callable[[Path], None]) -> None:
    """Make an entry, or put another one in its place. Turn held.

    Args:
        folder, key: as for `turn`.
        write: writes the files into a folder, its note last.

    Raises:
        StorageError, OSError: it could not be written; nothing is left that looks whole.
    """
    coming = folder / f".{key}.{uuid.uuid4().hex[:8]}{TEMPORARY}"
    try:
        with storage_errors(coming):
            for left in folder.glob(f".{key}.*{TEMPORARY}"):  # by one who was killed
                shutil.rmtree(left, ignore_errors=True)
            coming.mkdir(parents=True)
            write(coming)
            shutil.rmtree(folder / key, ignore_errors=True)
            coming.rename(folder / key)
    finally:
        shutil.rmtree(coming, ignore_errors=True)
