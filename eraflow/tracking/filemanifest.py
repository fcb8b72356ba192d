"""The sha256 manifest of a shipped ensemble: what was sent, and what is wrong with what came back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.disk.plainnames import stays_within

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FileMark:
    """By what a file is recognised: size in bytes and content hash."""

    bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.bytes} bytes, sha256 {self.sha256[:12]}"

    @classmethod
    def of(cls, path: Path) -> FileMark:
        """The mark of a file as it is now."""
        return cls(path.stat().st_size, file_sha256(path))


def marks_of(folder: Path) -> dict[str, FileMark]:
    """Every file below `folder`, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): FileMark.of(path) for path in files}


def manifest_values(signature: str, marks: Mapping[str, FileMark]) -> dict[str, Any]:
    """The manifest as JSON values."""
    return {"signature": signature, "files": {name: asdict(mark) for name, mark in marks.items()}}


def read_marks(manifest: Path, signature: str, sha256: str) -> dict[str, FileMark]:
    """The marks in a manifest.

    Args:
        manifest: the file, from wherever the other files came from.
        signature: of the ensemble.
        sha256: the beginning, or all, of the hash of its values as the registry holds it: whoever can change the files
            of a store can change the manifest beside them, too.

    Raises:
        ValueError: it cannot be read, is not the one that was registered, or belongs to another ensemble.
    """
    try:
        values = json.loads(manifest.read_text(encoding="utf-8"))
        marks = {str(name): FileMark(**mark) for name, mark in values["files"].items()}
        now = value_sha256(values)
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not sha256 or not now.startswith(sha256):
        raise ValueError(f"its hash is {now[:16]}, and {sha256[:16]} was registered")
    strange = next((name for name in marks if not stays_within(name)), None)
    if strange is not None:
        raise ValueError(f"it names a file outside of its folder: {strange}")
    if values.get("signature") != signature:
        raise ValueError(f"it belongs to ensemble {values.get('signature')}, not to {signature}")
    return marks


def damage(folder: Path, marks: Mapping[str, FileMark], *, exactly: bool = False) -> str | None:
    """The first difference between a folder and its marks, in words; None when there is none.

    Args:
        folder: what came back.
        marks: what was sent.
        exactly: further files in the folder count as a difference.
    """
    for name, mark in marks.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        now = FileMark.of(path)
        if now != mark:
            return f"{name} differs: {now} instead of {mark}"
    if exactly:
        further = sorted(set(marks_of(folder)) - set(marks))
        return f"{further[0]} was not shipped" if further else None
    return None
