"""What a run is, in one place: by what it is told from others, and by what it can be built again.

    RUN/origin.json   written when an attempt of the run begins: command line, start, code, libraries, hardware
    RUN/inputs.json     written when the data of the round are verified: sha256 and size of each file, what an era pays

All else is read from what the run left (`identity`), so that the record, the exported model, MLflow and the file name
of a submission say the same.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.machine.ledger import Ledger
from eraflow.runs.conclusion import SENT_LATER, SUBMISSION
from eraflow.runs.provenance import hardware, provenance
from eraflow.runs.rundir import CLOCK
from eraflow.runs.scrubbing import scrubbed_command
from eraflow.runs.stage import LEDGER, read_manifest
from eraflow.runs.unfinished import SETTINGS, what_decides

ORIGIN = "origin.json"
DATA = "inputs.json"
BLEND = "blend"
SHORT = 8
UNKNOWN = "unknown"
IN_TAGS = ("name", "settings_sha256", "data_sha256", "weights_sha256", "command", "started", "git_commit", "git_dirty")
"""What of an identity is a tag of MLflow's; libraries and hardware are tags of their own there."""


def note_origin(run_dir: Path, command: Sequence[str] | None = None) -> None:
    """Note what begins to work in a run's folder, and from what; an earlier attempt's note is replaced.

    What stages an earlier attempt finished came from is in their manifests.

    Args:
        run_dir: folder of the run.
        command: as it was typed; None: that of this process.
    """
    typed = scrubbed_command(sys.argv if command is None else command)
    begun = {"command": typed, "started": _spelt(datetime.now(UTC)), **provenance()}
    write_json(run_dir / ORIGIN, begun)


def note_data(run_dir: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Note the verified files of the round: name in the data set -> path, sha256 and bytes."""
    noted = {"files": {name: dict(told) for name, told in sorted(files.items())}}
    write_json(run_dir / DATA, {**(read_object(run_dir / DATA) or {}), **noted})


def note_payout(run_dir: Path, multipliers: Mapping[str, float], clip: float) -> None:
    """Note what an era pays in this run: a round tells it only while it lasts."""
    paid = {"multipliers": dict(multipliers), "clip": clip}
    write_json(run_dir / DATA, {**(read_object(run_dir / DATA) or {}), "payout": paid})


def noted_payout(run_dir: Path) -> dict[str, Any] | None:
    """What `note_payout` noted, as `payout` of the settings takes it; None for a run that did not come so far."""
    found = (read_object(run_dir / DATA) or {}).get("payout")
    return found if isinstance(found, dict) else None


def data_files(run_dir: Path) -> dict[str, dict[str, Any]]:
    """What `note_data` noted; empty for a run that has not come so far."""
    files = (read_object(run_dir / DATA) or {}).get("files")
    return files if isinstance(files, dict) else {}


def identity(run_dir: Path) -> dict[str, Any]:
    """What the run in a folder is; what it does not tell is None.

    Returns:
        name (such as `2026-11-21_w47_1f0c22ab_9be01d57`, see `run_name`), command (list of arguments, scrubbed),
        started and ended (ISO 8601, UTC), git_commit, git_dirty, python, platform, cpu, cores, ram_mb, gpus,
        libraries, settings_sha256 (of the settings that decide the result), data_sha256 (of all files of the round,
        the live ones included), weights_sha256 (the signature of the ensemble that was shipped, else of the run's
        own, which covers the hash of every model file and the weights), submission_sha256 (of the CSV),
        not_deterministic (stage -> why the same settings need not give the same bytes).
    """
    origin = read_object(run_dir / ORIGIN) or {}
    clock, settings = (read_object(run_dir / name) for name in (CLOCK, SETTINGS))
    submission = read_object(run_dir / SENT_LATER) or read_object(run_dir / SUBMISSION) or {}
    files = {name: told.get("sha256") for name, told in data_files(run_dir).items()}
    told = {
        **dict.fromkeys(("command", "git_commit", "git_dirty", "python", "platform", "libraries", *hardware())),
        **origin,
        "started": origin.get("started") or _moment(clock, "started"),
        "ended": _moment(clock, "ended"),
        "settings_sha256": None if settings is None else value_sha256(what_decides(settings)),
        "data_sha256": value_sha256(files) if files else None,
        "weights_sha256": submission.get("ensemble_signature") or _own_weights(run_dir),
        "submission_sha256": (submission.get("file") or {}).get("sha256"),
        "not_deterministic": not_deterministic(run_dir),
    }
    return {"name": run_name(told), **told}


def run_name(told: Mapping[str, Any]) -> str:
    """`2026-11-21_w47_<settings8>_<weights8>`: the day it was begun (UTC), the week of ISO 8601, and two hashes.

    What is not known yet is called `unknown`.
    """
    started = told.get("started")
    day = f"{datetime.fromisoformat(started):%Y-%m-%d_w%V}" if started else UNKNOWN
    return "_".join([day, *(str(told.get(name) or UNKNOWN)[:SHORT] for name in ("settings_sha256", "weights_sha256"))])


def identity_tags(run_dir: Path) -> dict[str, str]:
    """The identity as tags of MLflow, without what is not known."""
    found = {f"run.{name}": value for name, value in identity(run_dir).items() if name in IN_TAGS}
    return {
        name: " ".join(value) if isinstance(value, list) else str(value)
        for name, value in found.items()
        if value is not None
    }


def not_deterministic(run_dir: Path) -> dict[str, str]:
    """The trained members that the same settings need not give the same bytes for, and why.

    On the processor everything here is deterministic. On a GPU torch pins what it can unless the settings say
    otherwise; CatBoost and XGBoost add floats there in an order that changes.
    """
    found = {}
    for folder in sorted(run_dir.glob("train-*")):
        if Ledger(folder / LEDGER).last_plan.get("device") != "cuda":
            continue
        record = read_manifest(folder)
        params = (record.metrics.get("params") if record is not None else None) or {}
        pinned = params.get("deterministic", True)
        found[folder.name] = (
            "trained on a GPU: sums of floats are added in an order that may change"
            if pinned
            else "trained on a GPU with deterministic=false"
        )
    return found


def _own_weights(run_dir: Path) -> str | None:
    record = read_manifest(run_dir / BLEND)
    found = None if record is None else record.metrics.get("ensemble_signature")
    return None if found is None else str(found)


def _moment(clock: Mapping[str, Any] | None, name: str) -> str | None:
    seconds = (clock or {}).get(name)
    return _spelt(datetime.fromtimestamp(float(seconds), UTC)) if isinstance(seconds, int | float) else None


def _spelt(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
