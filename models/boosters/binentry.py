"""One entry of the cache of bins: the library's file, what tells that it is whole, and the lock."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from eraflow.disk.atomic import TEMPORARY, atomic_path, storage_errors, write_json
from eraflow.disk.locks import hold, wait_for

CHUNK_BYTES = 4 << 20


class BusyError(Exception):
    """Another process holds the entry. Never leaves the cache."""


class BinEntry:
    """The files of one signature in a folder: `<signature>.bins`, `.json`, which is written last, and `.lock`.

    Attributes:
        signature: its name.
        bins: the library's file.
    """

    def __init__(self, folder: Path, signature: str) -> None:
        self.signature = signature
        self.bins = folder / f"{signature}.bins"
        self._note = folder / f"{signature}.json"
        self._lock = folder / f"{signature}.lock"

    def hold(self, *, wait: bool = True) -> BinaryIO:
        """Hold the entry, against other processes and threads, until the returned handle is closed.

        Raises:
            BusyError: somebody else does, and `wait` is False.
            StorageError, NoLocksError: the folder cannot be written or locked.
        """
        handle = wait_for(self._lock) if wait else hold(self._lock)
        if handle is None:
            raise BusyError(self.signature)
        return handle

    def whole(self) -> bool:
        """Whether the file is there with the size and the checksum that were noted when it was finished."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return bool(self.bins.stat().st_size == note["size"] and checksum(self.bins) == note["crc32"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def write(self, make: Callable[[Path], Any], parts: Mapping[str, Any]) -> Any:
        """Have the file made, then write the note; returns what `make` gave. The caller holds the lock.

        Raises:
            StorageError: it cannot be written; nothing is left.
        """
        with atomic_path(self.bins) as temporary:
            made = make(temporary)
        note = {"size": self.bins.stat().st_size, "crc32": checksum(self.bins), "parts": dict(parts)}
        write_json(self._note, note)
        return made

    def touch(self) -> None:
        """It was used now."""
        with suppress(OSError):
            os.utime(self._note)

    def used_at(self) -> float:
        """When it was used last, seconds since the epoch; 0 when it is gone."""
        with suppress(OSError):
            return self._note.stat().st_mtime
        return 0.0

    def size(self) -> int:
        """Bytes of the file; 0 when it is gone."""
        with suppress(OSError):
            return self.bins.stat().st_size
        return 0

    def remove(self) -> None:
        """Remove the files, the note first: a kill in between leaves no note without its file. Lock held."""
        with storage_errors(self._note):
            self._note.unlink(missing_ok=True)
            self.bins.unlink(missing_ok=True)
            for left in self.bins.parent.glob(f".{self.signature}.*{TEMPORARY}"):  # by a builder that was killed
                left.unlink(missing_ok=True)

    def remove_if_free(self) -> bool:
        """Remove the entry and its lock unless somebody holds it; whether it went."""
        try:
            with self.hold(wait=False):
                self.remove()
                self._lock.unlink(missing_ok=True)
        except BusyError:
            return False
        return True


def checksum(path: Path) -> int:
    """crc32 of a file: it finds damage, not forgery, and reads a gigabyte in about a second."""
    value = 0
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return value


def entries(folder: Path) -> list[BinEntry]:
    """Every entry that has any file in the folder, half-made ones included."""
    names = {path.name.removeprefix(".").split(".")[0] for path in folder.iterdir()} if folder.is_dir() else set()
    return [BinEntry(folder, name) for name in sorted(names)]
