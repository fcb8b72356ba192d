"""What `eraflow upload` does, outside of a flow: a run's model uploaded, the one before restored, a slot set free."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eraflow.disk.digest import value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.disk.locks import my_turn
from eraflow.errors import SettingsError
from eraflow.gate.verdict import read_verdict
from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.errors import RoundClosedError
from eraflow.numerai.pickledelivery import DeliveredModel
from eraflow.numerai.rounds import Round
from eraflow.numerai.sendlock import only_sender
from eraflow.numerai.uploadstore import FOLDER, KeptModel, kept_models, model_before, slot_folder
from eraflow.rehearsal.rehearsing import verdict_path
from eraflow.runs.stage import require
from tasks.gate import JudgedEnsemble, ensemble_signature
from tasks.preparemodel import export_into, python_of, rehearsed
from tasks.run import Run
from tasks.runlog import run_log
from tasks.sendmodel import NotRehearsedError, check_model, deliver_kept, kept_for
from tasks.submit import Submission
from tasks.tournament import destination, open_tournament, source_key

BETWEEN_ROUNDS = 0


def uploaded_run(run: Run, say: Callable[[str], None]) -> dict[str, Any]:
    """Export, rehearse and upload the ensemble of a run; all that is written lies in the home.

    Raises:
        SettingsError: the run has no ensemble, or was not judged.
        GateBlockedError, StaleVerdictError: its verdict does not allow it.
        RehearsalFault: Numerai could not use the model.
        TournamentError: as `Tournament.deliver_model`.
    """
    judged = _judged(run)
    with open_tournament(_apart(run)) as tournament:
        slot = tournament.slot(run.settings.submit.model)
        round_now = _open_round(tournament)
        shipped = JudgedEnsemble(judged.ensemble, judged.signature, judged.verdict.carried_to(round_now.number))
        folder = _working_folder(run, judged)
        with my_turn(folder.with_name(f"{folder.name}.lock"), lambda: say("another upload of this model is at work")):
            prepared = rehearsed(run, export_into(folder, run, shipped, say), None, say)
            check_model(run, tournament, round_now, shipped, prepared)
            told: dict[str, Any] = {"checks": [check.__dict__ for check in prepared.file.checks]}
            if run.settings.submit.dry_run:
                where = {"model": prepared.file.path, "sha256": prepared.file.sha256}
                return {"told": "The model is ready; nothing was sent (dry run).", "where": where, **told}
            submission = Submission(prepared.file, prepared.signature, round_now.number, slot.id)
            kept = kept_for(run, slot, shipped, submission)
        with _alone(run, slot, round_now.number):
            delivered = deliver_kept(run, tournament, slot, round_now, kept)
    return {**_record("The slot runs this model.", delivered, kept, slot), **told}


def restored(run: Run) -> dict[str, Any]:
    """Let a slot run the model that it ran before the one that it runs; between rounds it is not triggered.

    Raises:
        KeptModelError: none is kept, or it is damaged.
        NotRehearsedError: no passed rehearsal of exactly these bytes lies beside it.
        TournamentError: as `Tournament.deliver_model`.
    """
    with open_tournament(_apart(run)) as tournament:
        slot = tournament.slot(run.settings.submit.model)
        kept = model_before(_entries(run, slot), tournament.active_model(slot.id)).checked()
        verdict = read_object(verdict_path(kept.pickle)) or {}
        if verdict.get("passed") is not True or verdict.get("sha256") != kept.sha256:
            raise NotRehearsedError(
                f"no passed rehearsal of {kept.pickle} lies beside it",
                "rehearse it: `eraflow rehearse`; nothing was sent",
            )
        if run.settings.submit.dry_run:
            where = {"model": str(kept.pickle), "sha256": kept.sha256}
            return {"told": "This model would be restored; nothing was sent (dry run).", "where": where}
        found = tournament.current_round()
        round_now = found if found is not None and found.is_open else None
        with _alone(run, slot, round_now.number if round_now is not None else BETWEEN_ROUNDS):
            delivered = deliver_kept(run, tournament, slot, round_now, kept)
    return _record("The slot runs its earlier model again.", delivered, kept, slot)


def unassigned(run: Run) -> dict[str, Any]:
    """Let a slot run no model."""
    with open_tournament(_apart(run)) as tournament:
        slot = tournament.slot(run.settings.submit.model)
        active = tournament.active_model(slot.id)
        if active is not None and not run.settings.submit.dry_run:
            tournament.unassign(slot.id)
    told = "The slot runs no model; it takes predictions." if active else "The slot ran no model."
    return {"told": told, "where": {"slot": slot.name, "it ran": active.filename if active else ""}}


def listed(run: Run) -> dict[str, Any]:
    """The kept models of a slot."""
    with open_tournament(_apart(run)) as tournament:
        slot = tournament.slot(run.settings.submit.model)
        active = tournament.active_model(slot.id)
    models = [
        {
            "name": entry.path.name,
            "path": str(entry.path),
            "sha256": entry.sha256,
            "bytes": entry.bytes,
            "python": entry.python,
            "delivered": (entry.delivered_at or "never")[:16].replace("T", " "),
            "run_dir": entry.run_dir,
            "active": entry.is_run_by(active),
        }
        for entry in _entries(run, slot)
    ]
    return {"slot": slot.name, "models": models}


def _apart(run: Run) -> Run:
    """For the tournament: the sandbox of a dry run keeps its state in the run's folder, and this one has ended."""
    return Run(run.settings, run.settings.home_path / FOLDER / "dry")


def _judged(run: Run) -> JudgedEnsemble:
    """The run's ensemble with its verdict."""
    if not (run.path / "blend").is_dir() or not (run.path / "gate" / "verdict.json").is_file():
        raise SettingsError(
            f"--run-dir: {run.path} holds no ensemble that was judged",
            "name the folder of a run that the gate has passed",
        )
    blended = require(run.path / "blend")
    verdict = read_verdict(run.path / "gate" / "verdict.json")
    return JudgedEnsemble(blended.path / "ensemble", ensemble_signature(blended), verdict)


def _open_round(tournament: Tournament) -> Round:
    found = tournament.current_round()
    if found is None or not found.is_open:
        raise RoundClosedError("no round is open, so no verdict can be for it", "run again when the next one opens")
    return found


def _working_folder(run: Run, judged: JudgedEnsemble) -> Path:
    """Where the model of this ensemble is made; the same ensemble has the same, so that work is gone on with."""
    name = value_sha256([judged.signature, python_of(run)])[:16]
    return run.settings.home_path / FOLDER / "made" / name


def _entries(run: Run, slot: Slot) -> list[KeptModel]:
    return kept_models(slot_folder(run.settings.home_path, source_key(run.settings), slot.id))


def _alone(run: Run, slot: Slot, number: int) -> Any:
    settings = run.settings
    return only_sender(settings.home_path, destination(settings), slot.id, number, run_log().info)


def _record(told: str, delivered: DeliveredModel, kept: KeptModel, slot: Slot) -> dict[str, Any]:
    submission = delivered.submission
    where = {
        "slot": slot.name,
        "upload": f"{delivered.pickle.id} ({delivered.pickle.validation})",
        "run": "when the next round opens" if delivered.run is None else f"{delivered.run.id} ({delivered.run.status})",
        "submission": "" if submission is None else f"{submission.id} ({submission.status})",
        "kept as": str(kept.path),
    }
    return {"told": told, "where": where, **delivered.as_dict()}
