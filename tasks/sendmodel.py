"""A model sent to its slot: only what verdict and rehearsal allow, kept in the home, followed to the end of its run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prefect import task

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import file_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.gate.gate import check_may_submit
from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.errors import TournamentError
from eraflow.numerai.pickledelivery import DeliveredModel, Waits
from eraflow.numerai.rounds import Round
from eraflow.numerai.sendlock import only_sender
from eraflow.numerai.uploadstore import (
    MODEL,
    KeptModel,
    forget_old,
    keep_model,
    note_delivered,
    slot_folder,
)
from eraflow.rehearsal.reference import reference_path
from eraflow.rehearsal.rehearsing import verdict_path
from eraflow.runs.weekrecord import timed
from tasks.backtestnote import NOTE, write_backtest_note
from tasks.gate import JudgedEnsemble
from tasks.modeldiagnostics import compare_diagnostics
from tasks.modelstates import ShownStates
from tasks.pages.artifacts import show_submission
from tasks.prepared import PreparedDelivery
from tasks.preparemodel import export_model, python_of, rehearse_model
from tasks.run import Run
from tasks.runlog import run_log
from tasks.stage import LIGHT_TASK
from tasks.submit import Submission, write_down
from tasks.tournament import destination, source_key

VERDICT, RECEIPT = "verdict.json", "receipt.json"


class NotRehearsedError(EraflowError):
    """A model is to be uploaded without a passed rehearsal of exactly these bytes. Nothing was sent."""

    code = "not_rehearsed"


class SecretInModelError(EraflowError):
    """The secret key stands in a model that is to be uploaded, or in what is kept with it. Nothing was sent."""

    code = "secret_in_model"


class ModelUpload:
    """The ensemble itself is uploaded to the model slot, and Numerai runs it."""

    def prepare(self, run: Run, shipped: JudgedEnsemble, live: Path) -> PreparedDelivery:
        """`RUN_DIR/upload/model.pkl`, exported and rehearsed on the live file."""
        return rehearse_model(run, export_model(run, shipped), live)

    def send(
        self,
        run: Run,
        tournament: Tournament,
        slot: Slot,
        round_now: Round,
        shipped: JudgedEnsemble,
        prepared: PreparedDelivery,
    ) -> Submission:
        """Upload it, unless it is there, assign and trigger it, and follow it to the end of its run."""
        return send_model(run, tournament, slot, round_now, shipped, prepared)


@task(name="send-model", task_run_name="send-model", **LIGHT_TASK)
def send_model(
    run: Run,
    tournament: Tournament,
    slot: Slot,
    round_now: Round,
    shipped: JudgedEnsemble,
    prepared: PreparedDelivery,
) -> Submission:
    """Send what verdict and rehearsal allow, and read back what became of it. A dry run stops just before.

    Raises:
        GateBlockedError, StaleVerdictError, WrongEnsembleError: the verdict does not allow it.
        NotRehearsedError, SecretInModelError: the file must not be sent.
        TournamentError: as `Tournament.deliver_model`.
    """
    check_model(run, tournament, round_now, shipped, prepared)
    write_json(run.path / "submission" / VERDICT, shipped.verdict.as_dict())
    submission = Submission(prepared.file, prepared.signature, round_now.number, slot.id)
    if run.settings.submit.dry_run:
        run_log().info("dry run: %s is ready and was not sent", prepared.file.path)
    else:
        submission = _send(run, tournament, slot, round_now, shipped, submission)
    write_down(run, submission)
    show_submission(submission.as_dict(), round_now.number)
    return submission


def check_model(
    run: Run, tournament: Tournament, round_now: Round, shipped: JudgedEnsemble, prepared: PreparedDelivery
) -> None:
    """Whether a model may be sent; the errors are those of `send_model`."""
    check_may_submit(shipped.verdict, prepared.signature, round_now.number, tournament.now(), run.settings.gate)
    pickle = Path(prepared.file.path)
    verdict = read_object(verdict_path(pickle)) or {}
    found = file_sha256(pickle)
    if verdict.get("passed") is not True or not found == verdict.get("sha256") == prepared.file.sha256:
        raise NotRehearsedError(
            f"{pickle} (sha256 {found[:12]}) is not what a rehearsal has passed", "rehearse it; nothing was sent"
        )
    for path in (pickle, verdict_path(pickle), reference_path(pickle)):
        if path.is_file() and tournament.gives_secret_away(path.read_bytes()):
            raise SecretInModelError(
                f"the secret key stands in {path}",
                "look how it came there (a model of your own class may have stored it), make a new key, and run again",
            )


def kept_for(run: Run, slot: Slot, shipped: JudgedEnsemble, submission: Submission) -> KeptModel:
    """The model with all that vouches for it, kept in the home before anything is sent."""
    pickle = Path(submission.record.path)
    note = write_backtest_note(pickle.parent / NOTE, run, shipped)
    write_json(pickle.parent / VERDICT, shipped.verdict.as_dict())
    beside = [verdict_path(pickle), reference_path(pickle), pickle.parent / VERDICT, note]
    told = {
        "python": python_of(run),
        "data_version": run.settings.data.version,
        "slot_id": slot.id,
        "slot_name": slot.name,
        "signature": submission.ensemble_signature,
        "round_number": submission.round_number,
        "run_dir": str(run.path),
    }
    files = {MODEL: pickle, **{path.name: path for path in beside if path is not None and path.is_file()}}
    return keep_model(slot_folder(run.settings.home_path, source_key(run.settings), slot.id), files, told)


def deliver_kept(
    run: Run, tournament: Tournament, slot: Slot, round_now: Round | None, kept: KeptModel
) -> DeliveredModel:
    """Upload a kept model and follow it; what became of it is noted beside it.

    Raises:
        KeptModelError: its bytes are not those that were kept.
        TournamentError: as `Tournament.deliver_model`.
    """
    states = ShownStates(kept.sha256)
    asked = run.settings.submit
    delivered = tournament.deliver_model(
        kept.checked().wanted, slot.id, round_now, waits_of(run), states.show, replace=asked.replace
    )
    kept = note_delivered(kept, delivered.pickle.id)
    write_receipt(kept, delivered)
    for gone in forget_old(kept.path.parent, asked.keep_models):
        run_log().info("the kept model %s is older than the newest %s and was removed", gone.name, asked.keep_models)
    compare_diagnostics(run, tournament, slot, kept, delivered.pickle)
    return delivered


def waits_of(run: Run) -> Waits:
    """How long the settings wait."""
    return Waits(run.settings.submit.model_minutes * 60, run.settings.submit.confirm_minutes * 60)


def write_receipt(kept: KeptModel, delivered: DeliveredModel) -> None:
    """What Numerai said, beside the kept model."""
    write_json(kept.path / RECEIPT, delivered.as_dict())


def _send(
    run: Run, tournament: Tournament, slot: Slot, round_now: Round, shipped: JudgedEnsemble, submission: Submission
) -> Submission:
    """Deliver. The record says `sending` meanwhile, and goes on saying so where the model may be there."""
    settings = run.settings
    kept = kept_for(run, slot, shipped, submission)
    try:
        with (
            only_sender(settings.home_path, destination(settings), slot.id, round_now.number, run_log().info),
            timed(run.path, "upload"),
        ):
            write_down(run, replace(submission, sending=True))
            delivered = deliver_kept(run, tournament, slot, round_now, kept)
    except Exception as error:
        if not (isinstance(error, TournamentError) and error.may_have_arrived):
            write_down(run, None)
        raise
    state = delivered.as_state(round_now.number)
    run_log().info(
        "model %s runs in slot %s; round %s: %s", delivered.pickle.id, slot.name, state.round_number, state.status
    )
    return replace(submission, state=state)
