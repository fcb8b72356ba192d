"""An output file that grows era by era, outlives a kill, and gets its name only when it is complete.

OUT's folder holds meanwhile `.OUT.part`, what was made so far, and `.OUT.part.json`, which says how far that is to be
trusted (bytes and their CRC) and what it is made from. Leftovers of other work are thrown away, never continued.
"""

from __future__ import annotations

import glob
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from eraflow.disk.atomic import TEMPORARY, storage_errors, write_json
from eraflow.disk.digest import value_sha256
from eraflow.disk.locks import is_at, take
from eraflow.errors import EraflowError

SECONDS_BETWEEN = 1.0
"""Between two notes of the position: a kill costs this much work and one era."""
READ_BYTES = 1 << 20


class OutputBusyError(EraflowError):
    """Another prediction is writing the same output. Wait for it to end, or name another file."""

    code = "output_busy"


class ResumableFile:
    """The part file of one output.

    Attributes:
        part: its path.
        state: JSON values of the caller, as they were when the position was last noted; empty at the beginning.
        resumed: whether an earlier attempt's leftover is continued.
    """

    def __init__(self, out: Path, key: Mapping[str, Any], head: bytes) -> None:
        self.part = out.with_name(f".{out.name}.part")
        self.state: dict[str, Any] = {}
        self.resumed = False
        self._side = out.with_name(f".{out.name}.part.json")
        self._key = value_sha256(dict(key))
        self._noted = time.monotonic()
        self._bytes = self._crc = 0
        self._file: IO[bytes] = _opened(self.part)
        try:
            self._lock(out)
            _sweep(out)
            self._continue_or_begin(head)
        except BaseException:
            self._file.close()
            raise

    def append(self, content: bytes, state: Mapping[str, Any]) -> None:
        """Add what belongs to one era; `state` is what the caller needs to go on behind it."""
        self._write(content)
        self.state = dict(state)
        if time.monotonic() - self._noted >= SECONDS_BETWEEN:
            self.note()

    def note(self) -> None:
        """Put on disk how far the work is."""
        self._file.flush()
        os.fsync(self._file.fileno())
        record = {"key": self._key, "bytes": self._bytes, "crc32": self._crc, "state": self.state}
        write_json(self._side, record)
        self._noted = time.monotonic()

    def give_name(self, out: Path) -> None:
        """Make the part, all of which is on the disk, the output itself."""
        os.replace(self.part, out)  # the lock is held until it has its name
        self.discard()

    def close(self) -> None:
        """Let go of the part; it stays."""
        self._file.close()

    def discard(self) -> None:
        """Remove the part: it will be of no use to anyone."""
        self._side.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)
        self.close()

    def _lock(self, out: Path) -> None:
        if not take(self._file):
            raise OutputBusyError(
                f"another process is predicting into {out}", "wait until it has ended or name another file"
            )
        if not is_at(self._file, self.part):  # its owner has just given it its name: it is not ours to write
            raise OutputBusyError(f"another process has just finished {out}", "run again if it is to be made anew")

    def _continue_or_begin(self, head: bytes) -> None:
        record = self._record()
        if record is not None and self._holds(record):
            self.state, self.resumed = record["state"], True
            self._bytes, self._crc = record["bytes"], record["crc32"]
            self._file.truncate(self._bytes)
            self._file.seek(self._bytes)
            return
        self._side.unlink(missing_ok=True)
        self._file.seek(0)
        self._file.truncate()
        self._write(head)

    def _record(self) -> dict[str, Any] | None:
        """What the side file says, when it is about this very work."""
        try:
            record = json.loads(self._side.read_text(encoding="utf-8"))
            return record if record["key"] == self._key and isinstance(record["state"], dict) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _holds(self, record: Mapping[str, Any]) -> bool:
        """Whether the part still begins with the bytes that were noted; read once, a mebibyte at a time."""
        left, crc = int(record["bytes"]), 0
        self._file.seek(0)
        while left:
            block = self._file.read(min(left, READ_BYTES))
            if not block:
                return False
            crc, left = zlib.crc32(block, crc), left - len(block)
        return bool(crc == record["crc32"])

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._bytes += len(content)
        self._crc = zlib.crc32(content, self._crc)


def _opened(part: Path) -> IO[bytes]:
    """The part for reading and writing; a new one where there is none. Nothing is cut off before it is locked."""
    return open(part, "r+b", opener=lambda path, flags: os.open(path, flags | os.O_CREAT, 0o666))


def _sweep(out: Path) -> None:
    """Remove what a killed attempt left of the output's last step; call it with the lock held."""
    for path in out.parent.glob(f".{glob.escape(out.name)}.*{TEMPORARY}"):
        path.unlink(missing_ok=True)


@contextmanager
def resumable_file(out: Path, key: Mapping[str, Any], head: bytes) -> Iterator[ResumableFile]:
    """The part of `out`, continued when an earlier attempt at the same work left one.

    When the block ends by an error that another attempt would meet again, the part is removed; when it is interrupted,
    runs out of disk or memory, or is killed, the part stays.

    Args:
        out: the file to be made.
        key: JSON values; everything that decides its bytes.
        head: what a new part begins with.

    Raises:
        OutputBusyError: another process works on it.
        StorageError, NoLocksError: it cannot be written or locked.
    """
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        file = ResumableFile(out, key, head)
        try:
            yield file
        except EraflowError as error:
            if not _may_pass(error):
                file.discard()
            raise
        finally:
            file.close()


def _may_pass(error: EraflowError) -> bool:
    """Whether the error lies in the disk or the machine, not in the data or the model."""
    return error.code == "storage" or getattr(error, "kind", None) in ("disk_full", "oom", "timeout", "interrupted")
