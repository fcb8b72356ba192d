"""The model of a run made ready to be uploaded: exported, and rehearsed as the very bytes that will be sent."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import task

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import file_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.numerai.submission import SubmissionCheck, SubmissionRecord
from eraflow.rehearsal.faults import BY_CODE
from eraflow.rehearsal.judging import nearest_to_its_limit
from eraflow.rehearsal.rehearsing import rehearse, verdict_path
from eraflow.rehearsal.stages import stage_for
from eraflow.runs.scratch import scratch_folder
from eraflow.runs.weekrecord import timed
from models.delivery.exported import exported
from tasks.gate import JudgedEnsemble
from tasks.prepared import PreparedDelivery
from tasks.run import Run
from tasks.runlog import run_log
from tasks.stage import LIGHT_TASK

MODEL, EXPORT = "model.pkl", "export.json"
OURS = ".".join(platform.python_version_tuple()[:2])


def python_of(run: Run) -> str:
    """The Python of the image that is to run the model."""
    return run.settings.submit.python or OURS


@task(name="export-model", task_run_name="export-model", **LIGHT_TASK)
def export_model(run: Run, shipped: JudgedEnsemble) -> dict[str, Any]:
    """`RUN_DIR/upload/model.pkl` of what the verdict is on; returns what `export` tells."""
    with timed(run.path, "export"):
        return export_into(run.path / "upload", run, shipped, run_log().info)


@task(name="rehearse-model", task_run_name="rehearse-model", **LIGHT_TASK)
def rehearse_model(run: Run, told: dict[str, Any], live: Path) -> PreparedDelivery:
    """The rehearsal of the model on this round's live file."""
    with timed(run.path, "rehearse"):
        return rehearsed(run, told, live, run_log().info)


def export_into(folder: Path, run: Run, shipped: JudgedEnsemble, say: Callable[[str], None]) -> dict[str, Any]:
    """Export into a folder; one that holds this export already is left as it is.

    Raises:
        EraflowError: as `models.delivery.exported.exported`.
    """
    python, pickle = python_of(run), folder / MODEL
    before = read_object(folder / EXPORT)
    same = before is not None and (before.get("signature"), before.get("python")) == (shipped.signature, python)
    if before is not None and same and pickle.is_file() and file_sha256(pickle) == before.get("sha256"):
        say(f"{pickle} is this ensemble already")
        return before
    told = exported(shipped.ensemble, pickle, python, run.settings.home_path, say)
    write_json(folder / EXPORT, told)
    say(f"{pickle}: {', '.join(told['members'])} for Python {python}, {told['bytes'] / 2**20:.1f} MiB")
    return told


def rehearsed(run: Run, told: dict[str, Any], live: Path | None, say: Callable[[str], None]) -> PreparedDelivery:
    """Rehearse exactly these bytes, or find that they were; the record says what was seen.

    Args:
        run: its settings.
        told: what the export told.
        live: the live file that it is to predict; None: one of full width is made up.
        say: told what begins.

    Raises:
        RehearsalFault: Numerai could not use the model; its subclass says why. Nothing was sent.
        RehearsalNotPossibleError: the rehearsal could not be held.
    """
    pickle = Path(told["file"])
    verdict = read_object(verdict_path(pickle)) or {}
    if not (verdict.get("passed") is True and verdict.get("sha256") == told["sha256"] == file_sha256(pickle)):
        stage = stage_for(told["python"], run.settings.home_path, say, live=live, eras=1)
        with scratch_folder("eraflow-rehearse-") as scratch:
            verdict = rehearse(pickle, stage, scratch, say)
    faults = verdict["faults"]
    if faults:
        raise BY_CODE[faults[0]["code"]](faults[0]["problem"], faults[0]["remedy"])
    return PreparedDelivery(_record(told, verdict), str(told["signature"]))


def _record(told: dict[str, Any], verdict: dict[str, Any]) -> SubmissionRecord:
    """The checks of a model, as those of a submission are told."""
    live, room = verdict["live"], verdict["room"]
    said = {
        "exported": f"{', '.join(told['members'])} for Python {told['python']}, {told['bytes']} bytes",
        "image_versions": f"{verdict['where']} of {verdict['pins']}",
        "live_era": f"{live['rows']} rows in {live['seconds']:.1f} of {room['seconds']:g} seconds and "
        f"{live['peak_mb']:.0f} of {room['memory_mb']:g} MiB, {live['ties']:.1%} ties",
        "no_network": " and ".join(verdict["no_network"] or ["not kept away"]),
        "rehearsal": f"passed with exactly these bytes (sha256 {verdict['sha256'][:12]})",
    }
    if verdict["parts"]:
        worst = nearest_to_its_limit(verdict["parts"])
        said["parts"] = f"{worst['name']} is nearest to its limit: {worst['difference']:.1e} of {worst['tolerance']:g}"
    checks = tuple(SubmissionCheck(name, True, text) for name, text in said.items())
    return SubmissionRecord(str(told["file"]), str(told["sha256"]), int(live["rows"]), checks)
