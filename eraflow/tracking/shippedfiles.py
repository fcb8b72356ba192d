"""The files of a registered ensemble: sent, and held against the manifest they were shipped with as they come back.

The registry holds the hash of the manifest, and the manifest those of the files: what was changed in the store is found
before anything is loaded.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.disk.plainnames import is_plain_name
from eraflow.errors import EraflowError
from eraflow.tracking.artifactstore import StoreError, store_errors
from eraflow.tracking.filemanifest import MANIFEST, FileMark, damage, manifest_values, marks_of, read_marks
from eraflow.tracking.mlflowlink import TrackingError
from eraflow.tracking.tracking import Tracker

ENSEMBLE, EVIDENCE = "ensemble", "evidence"
PLACE_TAG = "files"  # of a version: the artifact folder that holds it
PLACE = "shipped-"  # before the hash of the manifest's values: one tag, so that no kill can part place and hash


class ChampionDamagedError(EraflowError):
    """The files of the registered champion are not those that were shipped. Ship a new ensemble, or restore them."""

    code = "champion_damaged"


def send(tracker: Tracker, run_id: str, signature: str, ensemble: Path, evidence: Mapping[str, Path | None]) -> str:
    """Send the files, the manifest last, unless the same ones lie there whole; returns the artifact folder.

    Raises:
        StoreError: the store cannot be written.
        TrackingError: a file is not there, or MLflow cannot write.
    """
    uri = artifact_uri(tracker, run_id)
    with tempfile.TemporaryDirectory() as scratch, store_errors(uri):
        copies = _copies(evidence, Path(scratch) / EVIDENCE)
        marks = {f"{ENSEMBLE}/{name}": mark for name, mark in marks_of(ensemble).items()}
        marks |= {f"{EVIDENCE}/{name}": mark for name, mark in marks_of(copies).items()}
        values = manifest_values(signature, marks)
        place = f"{PLACE}{value_sha256(values)}"
        if not _is_whole(tracker, run_id, place, marks):
            tracker.link.call("log_artifacts", run_id, str(ensemble), artifact_path=f"{place}/{ENSEMBLE}")
            tracker.link.call("log_artifacts", run_id, str(copies), artifact_path=f"{place}/{EVIDENCE}")
            manifest = write_json(Path(scratch) / MANIFEST, values)
            tracker.link.call("log_artifact", run_id, str(manifest), artifact_path=place)
    return place


def _copies(evidence: Mapping[str, Path | None], folder: Path) -> Path:
    folder.mkdir()
    for name, path in evidence.items():
        if path is not None and not path.is_file():
            raise TrackingError(f"{path} is not there, so it cannot go with the champion", "run the backtest first")
        if path is not None:
            shutil.copyfile(path, folder / name)
    return folder


def _is_whole(tracker: Tracker, run_id: str, place: str, marks: Mapping[str, FileMark]) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = Path(tracker.link.call("download_artifacts", run_id, place, scratch))
        except TrackingError:
            return False
        return (folder / MANIFEST).is_file() and damage(folder, marks) is None


def artifact_uri(tracker: Tracker, run_id: str) -> str:
    """The address of a run's files."""
    return str(tracker.link.call("get_run", run_id).info.artifact_uri)


def fetch(tracker: Tracker, found: Any, part: str, destination: Path) -> Path:
    """Bring a part of a version, or one of its files, into a folder.

    Raises:
        StoreError: the store cannot be read.
        ChampionDamagedError: it can, and what is asked for is not there.
    """
    path = f"{recorded(found, PLACE_TAG)}/{part}"
    try:
        with store_errors(artifact_uri(tracker, found.run_id)):
            return Path(tracker.link.call("download_artifacts", found.run_id, path, str(destination)))
    except StoreError:
        raise
    except TrackingError as error:
        raise damaged(found, f"{part} cannot be read ({error.problem})") from error


def read_manifest_of(found: Any, manifest: Path, part: str) -> dict[str, FileMark]:
    """The manifest's files below `part`, by name relative to it.

    Raises:
        ChampionDamagedError: it is not the manifest that was registered.
    """
    registered = recorded(found, PLACE_TAG).removeprefix(PLACE)
    try:
        marks = read_marks(manifest, recorded(found, "signature"), registered)
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
    if tag == PLACE_TAG and not is_plain_name(value):
        raise damaged(found, f"its tag `{tag}` is {str(value)[:60]!r}, which is no folder of its run")
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
