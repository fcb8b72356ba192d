"""The rounds between two weeks where Numerai runs the model: whether it does, and what came of it."""

from __future__ import annotations

from dataclasses import replace

from prefect import task

from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.errors import TournamentError
from eraflow.numerai.pickleerrors import ForeignPickleError
from eraflow.numerai.rounds import Round
from eraflow.numerai.sendlock import only_sender
from eraflow.numerai.submission import SubmissionCheck, SubmissionRecord
from eraflow.numerai.uploadstore import KeptModel, kept_models, slot_folder
from eraflow.runs.weekrecord import timed
from tasks.modeldiagnostics import compare_diagnostics
from tasks.modelstates import ShownStates
from tasks.pages.artifacts import show_submission
from tasks.run import Run
from tasks.runlog import run_log
from tasks.sendmodel import waits_of, write_receipt
from tasks.stage import LIGHT_TASK
from tasks.submit import Submission, write_down
from tasks.tournament import destination, source_key


@task(name="follow-model", task_run_name="follow-model", **LIGHT_TASK)
def follow_model(run: Run, tournament: Tournament, slot: Slot, round_now: Round) -> Submission:
    """The run of the slot's model for this round: found or triggered, followed to its end, its log shown on failure.

    Raises:
        ForeignPickleError: the slot runs no model that was uploaded from this home.
        TournamentError: as `Tournament.follow_model`.
    """
    kept = model_of_slot(run, tournament, slot)
    submission = Submission(_record(kept, slot), kept.signature, round_now.number, slot.id)
    if run.settings.submit.dry_run:
        run_log().info("dry run: the slot runs the model %s; nothing is triggered", kept.path.name)
    else:
        submission = _followed(run, tournament, slot, round_now, kept, submission)
    write_down(run, submission)
    show_submission(submission.as_dict(), round_now.number)
    return submission


def model_of_slot(run: Run, tournament: Tournament, slot: Slot) -> KeptModel:
    """The kept model that a slot runs.

    Raises:
        ForeignPickleError: it runs none, or one that is not ours.
    """
    remedy = "upload one: `eraflow run --set submit.as=pickle`, or `eraflow upload --run-dir DIR` of a finished run"
    active = tournament.active_model(slot.id)
    if active is None:
        raise ForeignPickleError(f"the slot {slot.name} runs no uploaded model", remedy)
    entries = kept_models(slot_folder(run.settings.home_path, source_key(run.settings), slot.id))
    kept = next((entry for entry in entries if entry.is_run_by(active)), None)
    if kept is None:
        raise ForeignPickleError(
            f"the slot {slot.name} runs {active.filename[:80] or active.id}, which was not uploaded from this home",
            f"name the home that it was uploaded from (--home), or {remedy}",
        )
    return kept.checked()


def _record(kept: KeptModel, slot: Slot) -> SubmissionRecord:
    text = f"slot {slot.name} runs {kept.path.name}, uploaded from this home for Python {kept.python}"
    return SubmissionRecord(str(kept.pickle), kept.sha256, 0, (SubmissionCheck("our_model", True, text),))


def _followed(
    run: Run, tournament: Tournament, slot: Slot, round_now: Round, kept: KeptModel, submission: Submission
) -> Submission:
    settings, states = run.settings, ShownStates(kept.sha256)
    try:
        with (
            only_sender(settings.home_path, destination(settings), slot.id, round_now.number, run_log().info),
            timed(run.path, "follow"),
        ):
            write_down(run, replace(submission, sending=True))
            active = tournament.active_model(slot.id)
            upload = kept.upload_id if active is None else active.id
            delivered = tournament.follow_model(str(upload), slot.id, round_now, waits_of(run), states.show)
    except Exception as error:
        if not (isinstance(error, TournamentError) and error.may_have_arrived):
            write_down(run, None)
        raise
    write_receipt(kept, delivered)
    compare_diagnostics(run, tournament, slot, kept, delivered.pickle)
    return replace(submission, state=delivered.as_state(round_now.number))
