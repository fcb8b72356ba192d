"""Finished folds, kept between weeks: each is trained once, by one process, and found by all later weeks.

    FOLDER/KEY/predictions.parquet       and what else the fold left, see `FILES`
    FOLDER/KEY/fold.json                 written last: the sha256 of each file, and what its training told
    FOLDER/KEY.lock                      held by whoever trains, takes or removes it

A key names everything that decides the fold, the rows included, so a fold that is not there, or is damaged, is trained
anew to the same bytes; the store saves time and nothing else. Those that were used least recently go first.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import StorageError, atomic_path, write_json
from eraflow.disk.digest import file_sha256
from eraflow.disk.keptentries import lock_of, put, turn
from eraflow.disk.locks import hold

NOTE = "fold.json"
FILES = ("predictions.parquet", "importance.parquet", "learning.csv")
"""The first of them each fold has."""
MIB = 1 << 20

log = logging.getLogger("eraflow.folds")


@dataclass(frozen=True)
class FoldStore:
    """Where finished folds are kept.

    Attributes:
        folder: of all of them; made when it is needed.
        most_mb: size of all together, MiB.
    """

    folder: Path
    most_mb: int

    @contextmanager
    def turn(self, key: str) -> Iterator[bool]:
        """Keep others from training the same fold at the same time; gives whether that could be done.

        Where there are no locks nothing is kept: two at once could spoil it.
        """
        with turn(
            self.folder,
            key,
            lambda: log.info("another process trains the same fold: waiting"),
            lambda error: log.warning("finished folds are not kept: %s", error),
        ) as shared:
            yield shared

    def take(self, key: str, places: Mapping[str, Path]) -> dict[str, Any] | None:
        """Copy a fold to where a run wants it. Turn held.

        Args:
            key: of the fold.
            places: of each of `FILES`, where it is to lie; what the fold does not have is removed there.

        Returns:
            What was noted of its training; None: there is none that is whole.
        """
        entry = self.folder / key
        if not entry.is_dir():
            return None
        try:
            note: dict[str, Any] = json.loads((entry / NOTE).read_text(encoding="utf-8"))
            hashes: dict[str, str] = dict(note["files"])
            for name, place in places.items():
                _copied(entry / name, place, hashes.get(name))
        except (OSError, StorageError, ValueError, KeyError, TypeError) as error:
            log.warning("the kept fold %s cannot be used and is trained anew: %s", key[:12], error)
            return None
        with suppress(OSError):
            os.utime(entry / NOTE)
        return note

    def keep(self, key: str, places: Mapping[str, Path], note: Mapping[str, Any]) -> None:
        """Keep a fold for later weeks; what keeps it from being kept is told, and costs this week nothing. Turn held.

        Args:
            key: of the fold.
            places: of each of `FILES`, where the run has it, if it has.
            note: what its training told, JSON.
        """
        there = {name: path for name, path in places.items() if path.is_file()}

        def write(coming: Path) -> None:
            for name, path in there.items():
                shutil.copyfile(path, coming / name)
            write_json(coming / NOTE, {**note, "files": {name: file_sha256(coming / name) for name in there}})

        try:
            put(self.folder, key, write)
            self._evict(key)
        except (StorageError, OSError) as error:
            log.warning("the fold %s is not kept: %s", key[:12], error)

    def _evict(self, newest: str) -> None:
        """Remove the least recently used until the rest fits; what another process is using stays."""
        found = [entry for entry in self.folder.glob("*/") if not entry.name.startswith(".") and entry.name != newest]
        total = _size(self.folder / newest) + sum(map(_size, found))
        for entry in sorted(found, key=_used_at):
            if total <= self.most_mb * MIB:
                return
            size = _size(entry)
            total -= size if self._remove(entry) else 0
        if total > self.most_mb * MIB:  # it alone is too large, or all others are in use
            shutil.rmtree(self.folder / newest, ignore_errors=True)

    def _remove(self, entry: Path) -> bool:
        lock = hold(lock_of(self.folder, entry.name))
        if lock is None:
            return False
        with lock:
            (entry / NOTE).unlink(missing_ok=True)  # a kill in between leaves nothing that looks whole
            shutil.rmtree(entry)
            lock_of(self.folder, entry.name).unlink(missing_ok=True)
        return True


def _copied(kept: Path, place: Path, sha256: str | None) -> None:
    """A file of an entry to its place; ValueError when it is not the one that was kept."""
    if sha256 is None:
        place.unlink(missing_ok=True)
        return
    with atomic_path(place) as temporary:
        shutil.copyfile(kept, temporary)
        if file_sha256(temporary) != sha256:
            raise ValueError(f"its {kept.name} is not the one that was written")


def _size(entry: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in entry.iterdir())
    return 0


def _used_at(entry: Path) -> float:
    with suppress(OSError):
        return (entry / NOTE).stat().st_mtime
    return 0.0
