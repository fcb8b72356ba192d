"""Files appear whole or not at all: written to a temporary name beside the target, flushed to disk, renamed."""

from __future__ import annotations

import errno
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError

TEMPORARY = ".tmp"
OUR_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.DOTALL)
"""Names that `atomic_path` makes; another program's hidden `.tmp` file is not ours to remove."""


class StorageError(EraflowError):
    """A file could not be written: no space, no permission, or not a folder. Nothing that existed was changed.

    Attributes:
        kind: "disk_full" when that is the reason, as the ledger of a stage knows it; otherwise None.
    """

    code = "storage"
    kind: str | None = None


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to it when the block ends well, removed when it does not.

    Raises:
        StorageError: when the disk is full or the folder cannot be written.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}{TEMPORARY}")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _flush_to_disk(temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the temporary files that a killed process left anywhere below `folder`, which nobody else writes now.

    Symbolic links are not followed. Returns what was removed.
    """
    ours = (path for path in folder.rglob(f".*{TEMPORARY}") if OUR_TEMPORARY.fullmatch(path.name))
    found = [path for path in ours if path.is_file() and not path.is_symlink()]
    with storage_errors(folder):
        for path in found:
            path.unlink(missing_ok=True)
    return found


@contextmanager
def storage_errors(path: Path | str) -> Iterator[None]:
    """Name the refusals to write at `path`: the operating system's, and a library's that tells of a full disk."""
    try:
        yield
    except EraflowError:
        raise
    except Exception as error:
        problem = _problem(error) or _no_place(error, Path(path))
        if problem is None:
            raise
        named = StorageError(f"cannot write {path}: {problem}", _remedy(problem))
        named.kind = "disk_full" if problem in (FULL, FULL_QUOTA) else None
        raise named from error


FULL = "the disk is full"
FULL_QUOTA = "the disk quota is used up"
# polars raises its own ComputeError around the system's text, SQLite has words of its own.
FULL_TEXTS = ("no space left on device", "database or disk is full")


def _problem(error: Exception) -> str | None:
    if any(text in str(error).lower() for text in FULL_TEXTS):
        return FULL
    return _problem_of_system(error) if isinstance(error, OSError) else None


def _no_place(error: Exception, path: Path) -> str | None:
    """A file system such as /proc refuses a new name with "no such file"; about any other file that means something
    else."""
    about = getattr(error, "filename", None)
    if not isinstance(error, FileNotFoundError) or about is None or path.exists():
        return None
    refused = Path(os.fsdecode(about))
    ours = refused in (path, *path.parents) or refused.parent == path.parent
    return "nothing can be made there" if ours else None


def _problem_of_system(error: OSError) -> str | None:
    return {
        errno.ENOSPC: FULL,
        errno.EDQUOT: FULL_QUOTA,
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
        errno.EROFS: "the file system is read-only",
        errno.ENOTDIR: "part of the path is a file, not a folder",
        errno.EEXIST: "part of the path is a file, not a folder",
        errno.EISDIR: "it is a folder",
        errno.ENAMETOOLONG: "the name is too long",
        errno.EIO: "the disk does not work (input/output error)",
    }.get(error.errno or 0)


def _remedy(problem: str) -> str:
    if problem in (FULL, FULL_QUOTA):
        return "free some space (`eraflow clean` tells what may go), then run again: what was finished is kept"
    return "choose a folder you may write to (home or --run-dir), then run again"


def _flush_to_disk(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())


def write_bytes(path: Path | str, content: bytes) -> Path:
    """Write `content` whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: Path | str, content: str) -> Path:
    """Write UTF-8 text with LF line ends, whole or not at all."""
    return write_bytes(path, content.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> Path:
    """Write JSON with sorted keys, whole or not at all. NaN is refused: it is not JSON."""
    return write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")
