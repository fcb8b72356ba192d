"""The files of a registered ensemble as MLflow gives them back, held against the manifest they were shipped with."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.tracking.filemanifest import MANIFEST, FileMark, damage, read_marks
from eraflow.tracking.mlflowlink import TrackingError
from eraflow.tracking.tracking import Tracker

PLACE_TAG = "files"  # of a version: the artifact folder that holds it


class ChampionDamagedError(EraflowError):
    """The files of the registered champion are not those that were shipped. Ship a new ensemble, or restore them."""

    code = "champion_damaged"


def fetch(tracker: Tracker, found: Any, part: str, destination: Path) -> Path:
    """Bring a part of a version, the manifest, the ensemble or the evidence, into a folder."""
    path = f"{recorded(found, PLACE_TAG)}/{part}"
    try:
        return Path(tracker.link.call("download_artifacts", found.run_id, path, str(destination)))
    except TrackingError as error:
        raise damaged(found, f"{part} cannot be read ({error.problem})") from error


def part_marks(tracker: Tracker, found: Any, part: str) -> dict[str, FileMark]:
    """The manifest's files below `part`, by name relative to it."""
    with tempfile.TemporaryDirectory() as scratch:
        manifest = fetch(tracker, found, MANIFEST, Path(scratch))
        try:
            marks = read_marks(manifest, recorded(found, "signature"))
        except ValueError as error:
            raise damaged(found, f"its manifest cannot be read ({error})") from error
    return {name.removeprefix(f"{part}/"): mark for name, mark in marks.items() if name.startswith(f"{part}/")}


def refuse_damage(folder: Path, marks: Mapping[str, FileMark], found: Any) -> None:
    """Raise ChampionDamagedError where the files are not those of the manifest."""
    problem = damage(folder, marks)
    if problem is not None:
        raise damaged(found, problem)


def recorded(found: Any, tag: str) -> str:
    """What a tag of a version says."""
    value = found.tags.get(tag)
    if not value:
        raise damaged(found, f"it has no tag `{tag}`, so it was not registered by Eraflow")
    return str(value)


def damaged(found: Any, problem: str) -> ChampionDamagedError:
    """The error for a version whose files or tags are not as they were registered."""
    return ChampionDamagedError(
        f"champion {found.name} version {found.version}: {problem}",
        "restore the artifacts of its MLflow run, or run a week that ships a new one",
    )


def keep_only(folder: Path, marks: Mapping[str, FileMark]) -> None:
    """Remove what is not in the manifest: left over from an upload that was cut off."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in marks:
            path.unlink()


def put_in_place(folder: Path, destination: Path) -> None:
    """Replace what is at `destination` by a folder beside it."""
    if destination.exists():
        old = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.old")
        destination.rename(old)
        folder.rename(destination)
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    else:
        folder.rename(destination)
