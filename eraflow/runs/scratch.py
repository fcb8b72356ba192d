"""A temporary folder for one command, which does not outlive it: not even when it is killed.

Its owner holds a lock on a file in it for as long as it lives, and the kernel drops the lock with its owner. Whoever
makes the next such folder removes those whose owner is dead.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.disk.atomic import storage_errors
from eraflow.disk.locks import NoLocksError, own, owner_is_dead
from eraflow.errors import EraflowError, SettingsError
from eraflow.runs.conclusion import check_outside_of_concluded

LOCK = ".lock"
MARK = "a temporary folder of eraflow\n"
"""What the lock says: a folder that is only called like one of ours, and may well hold a lock, is somebody else's."""
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
        RunConcludedError: the parent lies in the folder of a run that has ended.
        StorageError, NoLocksError: it cannot be written or locked.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    check_outside_of_concluded(place)
    if not place.is_dir():
        raise SettingsError(f"{place} is no folder", "name a folder that is there, or make it")
    sweep(prefix, place)
    with storage_errors(place):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    with _removed_unless_told(folder), own(folder / LOCK) as lock:
        lock.write(MARK.encode())
        yield folder


@contextmanager
def _removed_unless_told(folder: Path) -> Iterator[None]:
    """Remove the folder at the end, unless the text of an error names it."""
    told = False
    try:
        yield
    except EraflowError as error:
        told = str(folder) in str(error) and not isinstance(error, NoLocksError)
        raise
    finally:
        if not told:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(prefix: str, parent: Path) -> list[Path]:
    """Remove the folders of this prefix whose owner is dead; returns them."""
    made_here = re.compile(re.escape(prefix) + "[a-z0-9_]{8}")  # as tempfile names them
    named = (folder for folder in parent.iterdir() if made_here.fullmatch(folder.name))
    removed = [folder for folder in named if folder.is_dir() and not folder.is_symlink() and _is_dead(folder)]
    for folder in removed:
        shutil.rmtree(folder, ignore_errors=True)
    return removed


def _is_dead(folder: Path) -> bool:
    """Whether the folder is ours and its owner is dead. One that says nothing yet must also hold nothing."""
    try:
        held = {path.name for path in folder.iterdir()}
        if not held:
            return _age(folder) > YOUNG_SECONDS
        said = (folder / LOCK).read_text(encoding="utf-8")
    except (OSError, ValueError):  # gone meanwhile, or somebody else's
        return False
    return (said == MARK or (said == "" and held == {LOCK})) and owner_is_dead(folder / LOCK)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0
