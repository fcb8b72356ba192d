"""Finished stages that many runs need alike, kept once: each run's folder has the same files under its own names.

    home/cache/eras/SIGNATURE/...      the files of one stage with its manifest
    home/cache/eras/SIGNATURE.lock     held by whoever makes, takes or removes it

The names are hard links, so the disk holds one copy for as long as any folder needs it: a run stays whole when the
cache is emptied, and the cache when a run is removed. Where a file system cannot link, each run has its own copy.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from eraflow.disk.atomic import TEMPORARY, storage_errors, write_json
from eraflow.disk.locks import hold, my_turn
from eraflow.errors import EraflowError
from eraflow.runs import stage
from eraflow.runs.stage import StageRecord

CANNOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})

log = logging.getLogger("eraflow.sharedstages")


class SharedStages:
    """The stages of one kind that a home keeps, by signature.

    Args:
        folder: of all of them; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, signature: str) -> Path:
        """Where a stage of this signature is kept."""
        return self.folder / signature

    @contextmanager
    def held(self, signature: str, say: Callable[[str], None]) -> Iterator[None]:
        """Keep other runs from making, taking or removing this stage; waits for one that does, and says so.

        Raises:
            StorageError, NoLocksError: the folder cannot be written or locked.
        """
        with my_turn(
            self._lock(signature), lambda: say("another run makes the same at this moment: waiting, to share it")
        ):
            yield

    def remove_if_free(self, signature: str) -> bool:
        """Remove what is kept under a signature, unless somebody holds it; whether it went."""
        handle = hold(self._lock(signature))
        if handle is None:
            return False
        with handle:
            _remove(self.entry(signature))
            for left in self._half_made(signature):
                _remove(left)
            return True

    def take(self, signature: str, folder: Path) -> bool:
        """Give a run's folder the stage that is kept, as if the run had made it; whether there was one. Lock held.

        A folder that has finished the stage already is left alone.

        Raises:
            StorageError: the run's folder cannot be written.
        """
        if stage.finished(folder, signature) is not None:
            return False
        try:
            record = stage.require(self.entry(signature))
        except EraflowError:  # none, or one that was damaged: it is replaced when this run has made its own
            return False
        if record.signature != signature:
            return False
        stage.begin(folder, signature)
        if not _linked(record, folder):
            return False
        write_json(folder / stage.MANIFEST, replace(record, folder=str(folder.resolve())).as_dict())
        return True

    def keep(self, record: StageRecord) -> bool:
        """Keep what a run has made, for the next one; whether it is kept. Lock held. Never costs the run anything."""
        entry = self.entry(record.signature)
        if _is_same(record, entry):
            with suppress(OSError):
                os.utime(entry / stage.MANIFEST)  # it was used now
            return True
        coming = entry.with_name(f".{entry.name}.{uuid.uuid4().hex[:8]}{TEMPORARY}")
        try:
            for left in self._half_made(record.signature):  # by one who was killed
                _remove(left)
            with storage_errors(coming):
                coming.mkdir(parents=True)
                if not _linked(record, coming):
                    return False
                write_json(coming / stage.MANIFEST, record.as_dict())
                _remove(entry)
                coming.rename(entry)
        except (EraflowError, OSError) as error:
            log.warning("%s is not kept for other runs: %s", record.name, error)
            return False
        finally:
            shutil.rmtree(coming, ignore_errors=True)
        return True

    def _lock(self, signature: str) -> Path:
        return self.folder / f"{signature}.lock"

    def _half_made(self, signature: str) -> list[Path]:
        return list(self.folder.glob(f".{signature}.*{TEMPORARY}"))


def _linked(record: StageRecord, folder: Path) -> bool:
    """Give `folder` every file of a stage under another name; False where the file system cannot."""
    for name in record.files:
        target = folder / name
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}{TEMPORARY}")
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(record.path / name, temporary)
            except OSError as error:
                if error.errno in CANNOT_LINK:
                    return False
                raise
            os.replace(temporary, target)
            temporary.unlink(missing_ok=True)  # a rename over another name of the same file leaves it
    return True


def _is_same(record: StageRecord, entry: Path) -> bool:
    """Whether the entry holds the very files of this run."""
    kept = stage.read_manifest(entry)
    if kept is None or kept.files != record.files:
        return False
    try:
        return all((record.path / name).samefile(entry / name) for name in record.files)
    except OSError:
        return False


def _remove(path: Path) -> None:
    """Remove an entry; the manifest goes first, for it vouches for all else."""
    (path / stage.MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)
