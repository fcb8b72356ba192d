"""A temporary folder for one command, which does not outlive it: not even when it is killed.

Its owner holds a lock on a file in it for as long as it lives, and the kernel drops the lock with its owner. Whoever
makes the next such folder removes those whose owner is dead.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.errors import EraflowError, SettingsError
from eraflow.store.atomic import storage_errors
from eraflow.store.ownerlock import CAN_TELL, own, owner_is_dead

LOCK = ".lock"
YOUNG_SECONDS = 60.0
"""A folder without a lock is only then taken for a dead one: its owner may be about to make it."""


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder that is removed at the end, and what dead owners of such folders left.

    One that an error tells of, because a log lies in it, stays until the next such folder is made.

    Args:
        prefix: of its name; folders of the same prefix belong to the same command.
        parent: in which folder; None: the system's for temporary files.

    Raises:
        SettingsError: the parent is no folder.
        StorageError: it cannot be written.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    if not place.is_dir():
        raise SettingsError(f"{place} is no folder", "name a folder that is there, or make it")
    sweep(prefix, place)
    with storage_errors(place):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        lock = (folder / LOCK).open("w")
    with lock:
        own(lock)
        told = False
        try:
            yield folder
        except EraflowError as error:
            told = str(folder) in str(error)
            raise
        finally:
            if not told:
                shutil.rmtree(folder, ignore_errors=True)


def sweep(prefix: str, parent: Path) -> list[Path]:
    """Remove the folders of this prefix whose owner is dead; returns them."""
    removed = [folder for folder in parent.glob(f"{prefix}*") if folder.is_dir() and _is_dead(folder)]
    for folder in removed:
        shutil.rmtree(folder, ignore_errors=True)
    return removed


def _is_dead(folder: Path) -> bool:
    if not CAN_TELL or folder.is_symlink():
        return False
    try:
        (folder / LOCK).stat()
    except FileNotFoundError:
        return _age(folder) > YOUNG_SECONDS
    except OSError:  # somebody else's
        return False
    return owner_is_dead(folder / LOCK)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0
