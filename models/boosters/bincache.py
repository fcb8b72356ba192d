"""Finished bins on disk, kept between fits and runs; the least recently used go first.

An entry is named by the signature of what decides the bins. What has no note beside it, written last, is nothing: a
kill in the middle of a build leaves only what the next builder removes. Each entry has a lock that the kernel drops
with its owner: one process builds, the others wait and read; what is being read is not evicted.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eraflow.disk.atomic import StorageError
from eraflow.disk.digest import value_sha256
from eraflow.disk.locks import NoLocksError
from models.boosters.binentry import BinEntry, entries

MIB = 1024 * 1024
FLOOR_MB = 1024
"""Disk that a new entry must leave free."""

log = logging.getLogger("eraflow.bincache")


class BinFile(Protocol):
    """How a library's bins are made and stored."""

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """What `make` with a path and `load` raise when they cannot write or read the file."""

    @property
    def expected_bytes(self) -> float:
        """About the size of the file."""

    def make(self, path: Path | None) -> Any:
        """The bins, from the rows; with a path, which does not exist yet, their file is left there too."""

    def load(self, path: Path) -> Any:
        """The bins from a file that `make` wrote."""


@dataclass(frozen=True)
class BinCache:
    """Where finished bins are kept.

    Attributes:
        folder: of all entries; made when it is needed.
        data_key: names the store and the rows that x is, as the caller knows them: the same key must mean the same x.
        most_mb: size of all entries together, MiB; 0: nothing is kept.
    """

    folder: Path
    data_key: str
    most_mb: int

    def signature(self, parts: Mapping[str, Any]) -> str:
        """The name of an entry."""
        return value_sha256({"data": self.data_key, **parts})

    def get(self, parts: Mapping[str, Any], file: BinFile) -> Any:
        """The bins of these parts: read from disk, or made and kept.

        The cache never fails a fit: what cannot be read is made anew, what cannot be kept is only used.

        Args:
            parts: what decides the bins beside `data_key`.
            file: makes, writes and reads them.
        """
        if file.expected_bytes > self.most_mb * MIB:
            return file.make(None)
        entry = BinEntry(Path(self.folder), self.signature(parts))
        try:
            lock = entry.hold()
        except (StorageError, NoLocksError) as error:
            log.warning("bins are not kept: %s", error)
            return file.make(None)
        with lock:
            found = self._read(entry, file)
            return found if found is not None else self._make(entry, parts, file)

    def _read(self, entry: BinEntry, file: BinFile) -> Any:
        """The bins from disk, or None when there are none that are whole."""
        if not entry.whole():
            return None
        try:
            bins = file.load(entry.bins)
        except file.refusals as error:
            log.warning("%s is made anew: %s", entry.bins, error)
            return None
        entry.touch()
        return bins

    def _make(self, entry: BinEntry, parts: Mapping[str, Any], file: BinFile) -> Any:
        # OSError: the folder was taken away meanwhile, as people do with caches.
        refused: tuple[type[Exception], ...] = (OSError, StorageError, *file.refusals)
        try:
            entry.remove()
            self._evict(file.expected_bytes, keep=entry.signature)
            if shutil.disk_usage(entry.bins.parent).free >= file.expected_bytes + FLOOR_MB * MIB:
                made = entry.write(file.make, parts)
                self._evict(entry.size(), keep=entry.signature)  # others may have been built meanwhile, unseen above
                return made
        except refused as error:
            log.warning("bins are not kept: %s", error)
        return file.make(None)

    def evict(self) -> list[str]:
        """Remove the least recently used entries until the rest fits, and what killed builders left.

        Returns:
            The signatures of what was removed. What another process is using at this moment stays.
        """
        return self._evict(0.0, keep="")

    def _evict(self, coming_bytes: float, keep: str) -> list[str]:
        """Make room for what is coming; `keep` is the entry whose lock the caller holds."""
        found = sorted((each for each in entries(Path(self.folder)) if each.signature != keep), key=BinEntry.used_at)
        total, removed = coming_bytes + sum(each.size() for each in found), []
        for each in found:
            size, half_made = each.size(), each.used_at() == 0.0
            try:
                gone = (half_made or total > self.most_mb * MIB) and each.remove_if_free()
            except StorageError as error:  # one that cannot be removed must not keep all others out
                log.warning("%s stays in the cache of bins: %s", each.signature, error)
                continue
            if gone:
                total -= size
                removed.append(each.signature)
        return removed
