"""Where a week's further ensembles lie: each in a folder within the run's that looks like the folder of a run.

    RUN/ensembles/NAME/   settings.json, blend, backtest, gate, submission ... as in a run that made this ensemble alone
    RUN/ensembles/correlations.json   how alike the predictions of the slots are

The trained members are hard links to those of the week, so that all that reads a run can read such a folder alone.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import storage_errors, write_json, write_text
from eraflow.disk.jsonobject import read_object
from eraflow.disk.ownership import RUN_FILE
from eraflow.errors import EraflowError
from eraflow.runs.conclusion import conclusion
from eraflow.runs.identity import DATA, ORIGIN
from eraflow.runs.stage import NOT_CONTENT, StageRecord, read_manifest, require
from eraflow.runs.unfinished import SETTINGS
from eraflow.runs.weekrecord import ENSEMBLES


class NoSuchEnsembleError(EraflowError):
    """The run made no further ensemble of that name. The text lists those that it made."""

    code = "no_such_ensemble"
    exit_code = 2


def ensemble_folder(run_dir: Path, name: str) -> Path:
    """The folder of a further ensemble of a run; nothing is created."""
    return run_dir / ENSEMBLES / name


def ensemble_folders(run_dir: Path) -> dict[str, Path]:
    """Name -> folder of the further ensembles that were begun in a run, by name."""
    return {path.parent.name: path.parent for path in sorted((run_dir / ENSEMBLES).glob(f"*/{RUN_FILE}"))}


def require_ensemble(run_dir: Path, name: str) -> Path:
    """The folder of a further ensemble.

    Raises:
        NoSuchEnsembleError: there is none of that name.
    """
    there = ensemble_folders(run_dir)
    if name not in there:
        made = f"it made {', '.join(there)}" if there else "it made none beside its own"
        raise NoSuchEnsembleError(
            f"{run_dir} has no ensemble {name[:60]!r}; {made}", "leave --ensemble out or name one"
        )
    return there[name]


def week_of(run_dir: Path) -> Path:
    """The folder of the week that a further ensemble belongs to; that of a week is its own."""
    return run_dir.parents[1] if run_dir.parent.name == ENSEMBLES else run_dir


def begin_ensemble(run_dir: Path, name: str, settings: str, slot: str | None) -> Path:
    """Make the folder of a further ensemble, or find it; what has ended in it stays as it is.

    Args:
        run_dir: of the week.
        name: of the ensemble.
        settings: the settings that make this ensemble alone, as JSON text.
        slot: where it is sent; None: nowhere.

    Raises:
        StorageError: it cannot be written.
    """
    folder, noted = ensemble_folder(run_dir, name), read_object(run_dir / RUN_FILE) or {}
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if conclusion(folder) is not None:
        return folder
    told = {"flow": noted.get("flow", "weekly"), "flow_runs": [], "started": time.time()}
    write_json(folder / RUN_FILE, {**told, "sent": slot is not None, "slot": slot})
    write_text(folder / SETTINGS, settings)
    copy_notes(run_dir, folder)
    return folder


def copy_notes(run_dir: Path, folder: Path) -> None:
    """What the week notes of its origin and of its data is true of each of its ensembles."""
    for note in (ORIGIN, DATA):
        values: dict[str, Any] | None = read_object(run_dir / note)
        if values is not None:
            write_json(folder / note, values)


def link_stages(folder: Path, stages: Iterable[StageRecord]) -> list[StageRecord]:
    """Stages of the week, such as trained members, laid into the folder of an ensemble as hard links, else as copies.

    Raises:
        StorageError: they cannot be written.
        DamagedStageError: they are not what the week made.
    """
    found = []
    for record in stages:
        place = folder / record.name
        with storage_errors(place):
            there = read_manifest(place)
            if there is None or there.signature != record.signature:
                _link_folder(record.path, place)
        found.append(require(place))
    return found


def _link_folder(source: Path, place: Path) -> None:
    """Beside its place and renamed, so that one that is there is whole."""
    waiting = place.with_name(f".{place.name}.part")
    for old in (waiting, place):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(source, waiting, copy_function=_link)
    os.replace(waiting, place)


def _link(source: str, target: str) -> None:
    if Path(source).name in NOT_CONTENT:  # may be written in place
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
