"""The files of a registered version on this computer, each held against its hash before anybody reads it.

What lies in a folder of this computer is read there. What lies in another store is fetched once, file by file, into the
home: a download that was cut off goes on with the files that are still missing, and a version that is here already
needs no store at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import storage_errors
from eraflow.disk.locks import my_turn
from eraflow.tracking.artifactstore import is_remote
from eraflow.tracking.filemanifest import MANIFEST, FileMark, damage
from eraflow.tracking.shippedfiles import (
    EVIDENCE,
    PLACE_TAG,
    artifact_uri,
    fetch,
    keep_only,
    put_in_place,
    read_manifest_of,
    recorded,
    refuse_damage,
)
from eraflow.tracking.tracking import Tracker

COPIES, TURN = "champion", ".turn"


def copy_name(found: Any) -> str:
    """The name of a version's folder among the copies."""
    return f"v{found.version}-{recorded(found, PLACE_TAG)}"


def copies_in_use(tracker: Tracker) -> set[str]:
    """Names of the copies of every version that an alias names: with these a champion needs no store.

    Raises:
        TrackingError: MLflow cannot be read.
    """
    found = set()
    for model in tracker.link.call("search_registered_models", max_results=1000):
        for number in set(dict(model.aliases).values()):
            version = tracker.link.call("get_model_version", model.name, str(number))
            found |= {copy_name(version)} if version.tags.get(PLACE_TAG) else set()
    return found


def marks_here(tracker: Tracker, found: Any, part: str) -> dict[str, FileMark]:
    """The marks of a part of a version, from its manifest.

    Raises:
        StoreError: the store cannot be read.
        ChampionDamagedError: the manifest is not the one that was registered.
    """
    if not _is_elsewhere(tracker, found):
        with tempfile.TemporaryDirectory() as scratch:
            return read_manifest_of(found, fetch(tracker, found, MANIFEST, Path(scratch)), part)
    manifest = _place(tracker, found) / MANIFEST
    if not manifest.is_file():
        _bring(tracker, found, MANIFEST, manifest)
    return read_manifest_of(found, manifest, part)


def evidence_here(tracker: Tracker, found: Any, marks: Mapping[str, FileMark]) -> Path:
    """The folder with a version's evidence, in the home.

    Raises:
        StoreError, ChampionDamagedError: as `marks_here`.
    """
    if not marks:
        return tracker.home
    if _is_elsewhere(tracker, found):
        return _copy(tracker, found, EVIDENCE, marks)
    place = _place(tracker, found)
    folder = fetch(tracker, found, EVIDENCE, place)
    refuse_damage(folder, marks, found)
    return folder


def put_part(tracker: Tracker, found: Any, part: str, marks: Mapping[str, FileMark], destination: Path) -> None:
    """Bring a part of a version to a folder, replacing what is there once all of it is known to be right.

    Raises:
        StoreError, ChampionDamagedError: as `marks_here`; `destination` is as before.
        StorageError: the disk.
    """
    source = _copy(tracker, found, part, marks) if _is_elsewhere(tracker, found) else None
    with storage_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".champion.") as scratch:
            if source is None:
                folder = fetch(tracker, found, part, Path(scratch))
            else:
                folder = _twin(source, Path(scratch) / part, marks)
            refuse_damage(folder, marks, found)
            keep_only(folder, marks)
            put_in_place(folder, destination)


def _is_elsewhere(tracker: Tracker, found: Any) -> bool:
    return is_remote(artifact_uri(tracker, found.run_id))


def _place(tracker: Tracker, found: Any) -> Path:
    place = tracker.home / COPIES / copy_name(found)
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    return place


def _copy(tracker: Tracker, found: Any, part: str, marks: Mapping[str, FileMark]) -> Path:
    """The copy of a part in the home, whole; fetched where it is not."""
    place = _place(tracker, found)
    folder, waiting = place / part, place / f".{part}.part"
    with storage_errors(place), my_turn(tracker.home / COPIES / TURN, lambda: None):
        if damage(folder, marks, exactly=True) is None and folder.is_dir():
            return folder
        for name, mark in marks.items():
            if not (waiting / name).is_file() or FileMark.of(waiting / name) != mark:
                _bring(tracker, found, f"{part}/{name}", waiting / name, mark)
        keep_only(waiting, marks)
        put_in_place(waiting, folder)
    return folder


def _bring(tracker: Tracker, found: Any, name: str, target: Path, mark: FileMark | None = None) -> None:
    """Fetch one file beside its place, look at it, and rename it."""
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_place(tracker, found), prefix=".fetch.") as scratch:
            came = fetch(tracker, found, name, Path(scratch))
            if mark is not None:
                refuse_damage(came.parent, {came.name: mark}, found)
            os.replace(came, target)


def _twin(source: Path, folder: Path, marks: Mapping[str, FileMark]) -> Path:
    """A second folder of the same files: a run may be changed or removed without harm to the copy."""
    for name in marks:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
    return folder
