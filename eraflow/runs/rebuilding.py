"""A run's settings and data, made ready for building the run again: nothing is sent, and nothing found finished.

The rebuilt run has a home of its own, so that no fold, era store or base of another week stands in for work, and takes
the files of the round from a folder, so that no tournament is asked.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import storage_errors, write_text
from eraflow.disk.digest import file_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.runs.continuation import stored_settings
from eraflow.runs.identity import data_files, noted_payout
from eraflow.runs.rundir import new_run_dir
from eraflow.runs.stage import read_manifest
from eraflow.runs.unfinished import SETTINGS, begun_by, note_run
from eraflow.runs.weekrecord import LEFT_OUT, LOST, TRAIN
from eraflow.settings.run import RunSettings, merge

WEEKLY = "weekly"
BULK = ("files", "data", "sandbox", "cache")
"""What of a rebuilt run's home only served the building."""


class NotRebuildableError(EraflowError):
    """The run holds too little to build it again: it trained nothing, had no blend, or is of an older version."""

    code = "not_rebuildable"
    exit_code = 2


class RoundDataGoneError(EraflowError):
    """The files of the run's round are no longer there, or are others. Name a folder that holds them with --data."""

    code = "round_data_gone"


def rebuilt_settings(run_dir: Path, home: Path, files: Path) -> RunSettings:
    """The settings of a run for building it again.

    What decides the result is as it was: members that were left out or lost are left out, parameters that a search had
    found are those of the trained members, and an era pays what it paid. What acts outside is switched off.

    Args:
        run_dir: of the run.
        home: of the new one.
        files: folder with the files of the round, in tournament layout.

    Raises:
        NotRebuildableError: the run trained no ensemble, or its settings are not there.
        SettingsError: its settings cannot be read.
    """
    flow = begun_by(run_dir)
    if flow != WEEKLY:
        raise NotRebuildableError(
            f"the run in {run_dir} was begun by `{flow}` and trained no ensemble",
            "name the weekly run that trained it; `eraflow runs` lists them",
        )
    stored = stored_settings(run_dir)
    if stored is None or read_manifest(run_dir / "blend") is None:
        raise NotRebuildableError(
            f"the run in {run_dir} ended before its blend", "name a run that has one; `eraflow runs` lists them"
        )
    values = stored.model_dump(mode="json")
    values["models"] = _members(run_dir, values["models"], searched=stored.search.before_training)
    values["search"]["before_training"] = False
    changed = {
        "home": str(home),
        "run_dir": None,
        "source": {"kind": "sandbox", "data_dir": str(files), "url": None},
        "submit": {"dry_run": True, "model": None},
        "tracking": {"enabled": False},
        "alert": {"block": None, "ping_url": None, "on_success": False},
        "gate": {"on_block": "hold"},
        "machine": {"training_hours": None},
        "clean": {"after_week": False},
    }
    if (payout := noted_payout(run_dir)) is not None:
        changed["payout"] = payout
    return RunSettings.model_validate(merge(values, changed))


def begin_rebuilding(settings: RunSettings) -> RunSettings:
    """Make the folder of the new run, with its settings stored in it; gives them with the folder named.

    Raises:
        StorageError: it cannot be written.
    """
    run_dir = new_run_dir(settings.home_path, WEEKLY)
    chosen = settings.model_copy(update={"run_dir": str(run_dir)})
    with storage_errors(run_dir):
        run_dir.mkdir(parents=True)
    note_run(settings.home_path, run_dir, WEEKLY, None)
    write_text(run_dir / SETTINGS, chosen.model_dump_json(indent=2) + "\n")
    return chosen


def verified_files(run_dir: Path, given: Path | None = None) -> dict[str, Path]:
    """The files of a run's round, name to place, each with the bytes that the run noted. Nothing is written.

    Args:
        run_dir: of the run.
        given: folder in which they lie; None: where the run had them.

    Raises:
        NotRebuildableError: the run does not tell which files it worked with.
        RoundDataGoneError: a file is not there, or holds something else.
    """
    files = data_files(run_dir)
    if not files:
        raise NotRebuildableError(
            f"the run in {run_dir} does not tell which files it worked with",
            "name a run of this version or a newer one",
        )
    places = {name: Path(told["path"]) if given is None else given / Path(name).name for name, told in files.items()}
    problems = [why for name, told in files.items() if (why := _problem(places[name], told)) is not None]
    if problems:
        raise RoundDataGoneError(
            f"{len(problems)} of {len(files)} files of its round are not there as they were: {'; '.join(problems[:3])}",
            "a home keeps the files of two rounds; name a folder that holds them with --data",
        )
    return places


def lay_out_files(files: Mapping[str, Path], into: Path) -> None:
    """Lay files, name to place, into a folder that is made here, as links where the file system can.

    Raises:
        StorageError: `into` cannot be written.
    """
    with storage_errors(into):
        into.mkdir(parents=True, exist_ok=True)
        for name, place in files.items():
            _link(place, into / Path(name).name)


def remove_bulk(home: Path) -> None:
    """Remove what only served the building; the run itself, its record and Prefect's history stay."""
    for name in BULK:
        shutil.rmtree(home / name, ignore_errors=True)


def _problem(place: Path, told: Mapping[str, Any]) -> str | None:
    if not place.is_file():
        return f"{place} is gone"
    if place.stat().st_size != told["bytes"] or file_sha256(place) != told["sha256"]:
        return f"{place} has changed"
    return None


def _link(place: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(place, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(place, target)


def _members(run_dir: Path, models: list[dict[str, Any]], *, searched: bool) -> list[dict[str, Any]]:
    """Those that were trained, with the parameters that they were trained with."""
    without = set(read_object(run_dir / LEFT_OUT) or {})
    without |= {name.removeprefix(TRAIN) for name in read_object(run_dir / LOST) or {} if name.startswith(TRAIN)}
    kept = [model for model in models if model["name"] not in without]
    return [_as_trained(run_dir, model) if model["tuned"] or searched else model for model in kept]


def _as_trained(run_dir: Path, model: dict[str, Any]) -> dict[str, Any]:
    """With what a search had found for it, which is not among the settings."""
    record = read_manifest(run_dir / f"{TRAIN}{model['name']}")
    found = None if record is None else record.metrics.get("params")
    return {**model, "tuned": False, "params": found if isinstance(found, dict) else model["params"]}
