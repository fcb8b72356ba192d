"""A stage is a folder: its signature says what it was made from, its manifest, written last, that it is finished.

    folder/stage.json      the signature, written before the work begins
    folder/...             what the stage makes
    folder/ledger.jsonl    one line before and one after each attempt
    folder/manifest.json   signature, sha256 of each file, metrics, provenance

A folder whose manifest carries the wanted signature, and whose files are as the manifest says, is skipped. A folder
that was begun with the same signature keeps its parts (folds, epochs); one with another signature is emptied first.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import OUR_TEMPORARY, StorageError, remove_leftovers, storage_errors, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.errors import EraflowError

MANIFEST = "manifest.json"
BEGUN = "stage.json"
EMPTYING = "emptying.json"  # lies in a folder whose content is being removed
LEDGER = "ledger.jsonl"
# Written by the watcher of a stage rather than by the stage, or after it: not part of what the stage made.
NOT_CONTENT = frozenset(
    {
        *(MANIFEST, BEGUN, LEDGER, "stage.log", "stage.log.older", "spec.json", "out.json", "watch.json"),
        *("training.json", "curves.png", "graph.png"),
    }
)


class DamagedStageError(EraflowError):
    """A finished stage's folder no longer holds what its manifest lists. The stage is made anew."""

    code = "damaged_stage"


@dataclass(frozen=True)
class FileEntry:
    """One file of a stage: size in bytes and content hash."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class StageRecord:
    """What a finished stage tells the ones after it. Small, JSON, passed between tasks in place of data.

    Attributes:
        name: the stage's name in the run folder, such as `train-lightgbm`.
        folder: absolute path.
        signature: hash over settings, inputs and code.
        files: content of the folder, by relative path.
        metrics: plain figures that tables show.
        seconds: wall time of the successful attempt; kept when the stage is skipped later.
        peak_mb: largest memory of the process tree, MiB; None where it was not measured.
        attempts: how many attempts it took.
        provenance: git commit, versions and hardware.
        reused: whether this run found the stage finished.
        estimate: what it was expected to need: kind, raw_mb (by the formula alone), ram_mb (corrected by earlier runs),
            vram_mb, disk_mb; empty for a stage whose need was not known. Later runs learn from it.
    """

    name: str
    folder: str
    signature: str
    files: dict[str, FileEntry]
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    peak_mb: float | None = None
    attempts: int = 1
    provenance: dict[str, Any] = field(default_factory=dict)
    reused: bool = False
    estimate: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The folder as a path."""
        return Path(self.folder)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StageRecord:
        """The inverse of `as_dict`."""
        files = {name: FileEntry(**entry) for name, entry in values["files"].items()}
        return cls(**{**values, "files": files})


def stage_signature(name: str, settings: Mapping[str, Any], inputs: Mapping[str, str], code: str) -> str:
    """The name of the work: a hash over the stage, its settings, the signatures of its inputs and its code."""
    return value_sha256({"stage": name, "settings": dict(settings), "inputs": dict(inputs), "code": code})


def begin(folder: Path, signature: str) -> None:
    """Make `folder` ready for work under `signature`: its parts stay when they were made under the same one."""
    if folder.exists() and (_begun_signature(folder) != signature or (folder / EMPTYING).exists()):
        _empty(folder)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
    remove_leftovers(folder)  # or a killed attempt's half-written file would be listed as the stage's own
    write_json(folder / BEGUN, {"signature": signature, "begun": time.time()})


def _empty(folder: Path) -> None:
    """Remove an older stage's content; a folder that is somebody else's is not touched.

    A kill may come at any moment: the manifest goes first, for it vouches for all else, and what says that the folder
    is ours goes last.
    """
    content = list(folder.iterdir())
    marked = any(path.name in (BEGUN, MANIFEST, EMPTYING) for path in content)
    if not marked and not all(OUR_TEMPORARY.fullmatch(path.name) for path in content):
        raise StorageError(
            f"{folder} exists and was not made by Eraflow", "choose an empty folder for --run-dir, or move it away"
        )
    with storage_errors(folder):
        for name in (MANIFEST, BEGUN):  # a rename needs no space on a full disk
            if (folder / name).exists():
                os.replace(folder / name, folder / EMPTYING)
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != EMPTYING:
                path.unlink(missing_ok=True)
        (folder / EMPTYING).unlink(missing_ok=True)


def _begun_signature(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / BEGUN).read_text())["signature"])
    except (OSError, ValueError, KeyError):
        return None


def finish(
    folder: Path,
    name: str,
    signature: str,
    *,
    metrics: Mapping[str, Any],
    seconds: float,
    peak_mb: float | None,
    attempts: int,
    provenance: Mapping[str, Any],
    estimate: Mapping[str, Any] | None = None,
) -> StageRecord:
    """Hash what the stage made and write the manifest, last of all."""
    record = StageRecord(
        name=name,
        folder=str(folder.resolve()),
        signature=signature,
        files=_hash_files(folder),
        metrics=dict(metrics),
        seconds=round(seconds, 3),
        peak_mb=peak_mb,
        attempts=attempts,
        provenance=dict(provenance),
        estimate=dict(estimate or {}),
    )
    write_json(folder / MANIFEST, record.as_dict())
    return record


def finished(folder: Path, signature: str) -> StageRecord | None:
    """The record of a finished stage, or None when it has to be made.

    The sizes are always compared. Contents are hashed up to 64 MiB a file: larger ones are protected by the atomic
    rename that made them, and hashing gigabytes at every resume would cost more than it finds.
    """
    record = read_manifest(folder)
    if record is None or record.signature != signature or not _intact(folder, record):
        return None
    return replace(record, folder=str(folder.resolve()), reused=True)


def read_manifest(folder: Path) -> StageRecord | None:
    """The manifest in `folder`, or None when there is none or it cannot be read."""
    try:
        return StageRecord.from_dict(json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def require(folder: Path) -> StageRecord:
    """The record of the finished stage in `folder`.

    Raises:
        DamagedStageError: when there is no manifest or a file differs from it.
    """
    record = read_manifest(folder)
    if record is None:
        raise DamagedStageError(f"{folder} has no readable manifest", "run the week again; this stage is made anew")
    if not _intact(folder, record):
        raise DamagedStageError(f"{folder} does not hold what its manifest lists", "remove it and run again")
    return replace(record, folder=str(folder.resolve()))  # a run folder may have been copied or moved


HASH_LIMIT_BYTES = 64 << 20


def _intact(folder: Path, record: StageRecord) -> bool:
    for name, entry in record.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry.bytes:
            return False
        if entry.bytes <= HASH_LIMIT_BYTES and file_sha256(path) != entry.sha256:
            return False
    return True


def _hash_files(folder: Path) -> dict[str, FileEntry]:
    entries = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_file() and relative not in NOT_CONTENT:
            entries[relative] = FileEntry(path.stat().st_size, file_sha256(path))
    return entries
