"""Write the submission, check it as a careful submitter does, and send it: only what a verdict allows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from prefect import get_run_logger, task

from eraflow.data.footer import read_footer
from eraflow.disk.atomic import write_json
from eraflow.disk.plainpaths import read_parquet
from eraflow.errors import EraflowError
from eraflow.gate.gate import check_may_submit
from eraflow.gate.heldweek import instead_of_what_is_filed
from eraflow.gate.verdict import Verdict
from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.errors import TournamentError, knows_what_is_filed
from eraflow.numerai.rounds import Round
from eraflow.numerai.sendlock import only_sender
from eraflow.numerai.submission import SubmissionRecord, check_submission
from eraflow.numerai.submission_csv import EmptyLiveError, write_submission
from eraflow.numerai.submission_state import SubmissionState, kept_in_words
from eraflow.runs.conclusion import RunConcludedError, accepted_submission, unconfirmed_submission
from eraflow.runs.identity import identity
from eraflow.runs.insurance import insurances
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import HELD, timed
from eraflow.settings.run import RunSettings
from tasks.gate import JudgedEnsemble
from tasks.pages.artifacts import show_submission
from tasks.predict import predict_twice
from tasks.prepared import PreparedDelivery
from tasks.register import known_slot
from tasks.run import Run
from tasks.stage import LIGHT_TASK
from tasks.tournament import destination, source_key


@dataclass(frozen=True)
class Submission:
    """What was written, what allowed it to go, and what became of it.

    Attributes:
        record: the file and its checks.
        ensemble_signature: of the ensemble that made exactly these predictions.
        round_number, model_id: where it goes; the model is None in a dry run without keys.
        sending: True from just before the upload until its state is known.
        state: what the tournament says; None when nothing was sent.
        held: True for the prediction of a week that the gate holds: kept, so that `eraflow submit` can send it.
        kept: what somebody else had filed for this slot and round, and what was kept instead; None when there was none.
    """

    record: SubmissionRecord
    ensemble_signature: str
    round_number: int
    model_id: str
    sending: bool = False
    state: SubmissionState | None = None
    held: bool = False
    kept: SubmissionState | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **{name: value for name, value in self.__dict__.items() if name != "record"},
            "file": self.record.as_dict(),
            "state": None if self.state is None else self.state.as_dict(),
            "kept": None if self.kept is None else self.kept.as_dict(),
        }


@task(name="find-model", task_run_name="find-model", **LIGHT_TASK)
def find_model(run: Run, tournament: Tournament) -> Slot:
    """The model slot, asked for before any work: a wrong key must not be found out after hours of training.

    A dry run needs no keys: without them it takes the slot of that name that a champion here was shipped for.

    Raises:
        WrongKeyError, NoSuchModelError: the account does not have it.
        SlotHoldsPickleError: it runs an uploaded model, and predictions are to be sent.
    """
    if run.settings.submit.dry_run and not tournament.has_key:
        return known_slot(run)
    slot = tournament.slot(run.settings.submit.model)
    if not run.settings.submit.sends_model:
        tournament.check_takes_predictions(slot)
    return slot


@task(name="write-submission", task_run_name="write-submission", **LIGHT_TASK)
def write_checked_submission(run: Run, first: StageRecord, second: StageRecord, live: Path) -> SubmissionRecord:
    """`RUN_DIR/submission/submission.csv` and its record, after all checks.

    Raises:
        EmptyLiveError: the live file has no rows.
        RunConcludedError: this run has sent other predictions before, which were accepted.
        SubmissionCheckError: a check failed; its text names which.
    """
    folder = run.path / "submission"
    ids = live_ids(live)
    if len(ids) == 0:
        raise EmptyLiveError(
            f"{live} has no rows", "wait for Numerai to publish this round's live data, then run again"
        )
    _keep_what_was_accepted(run, first)
    path = _write(first, folder / "submission.csv")
    again = _write(second, folder / ".again" / "submission.csv")
    record = check_submission(path, ids, repeat_sha256=SubmissionRecord.sha256_of(again))
    shutil.rmtree(folder / ".again", ignore_errors=True)
    write_json(folder / "checks.json", record.as_dict())
    record.require()
    return record


def _keep_what_was_accepted(run: Run, first: StageRecord) -> None:
    """An unfinished run whose submission was accepted goes on with the same predictions only.

    Raises:
        RunConcludedError: these are others.
    """
    accepted = accepted_submission(run.path)
    if accepted is None:
        return
    fresh = _write(first, run.path / ".fresh" / "submission.csv")
    sha256 = SubmissionRecord.sha256_of(fresh)
    shutil.rmtree(fresh.parent, ignore_errors=True)
    if sha256 != accepted["file"]["sha256"]:
        raise RunConcludedError(
            f"the run in {run.path} has sent other predictions, for round {accepted['round_number']}, and they were "
            "accepted: they are kept as they are",
            "choose another --run-dir, or leave it out, for a new run",
        )


def keep_for_later(
    run: Run, slot: Slot, round_now: Round, ensemble: Path, signature: str, live: Path, verdict: Verdict
) -> bool:
    """Make and check the prediction of a week that is held, so that it can be sent later; whether that worked.

    A prediction that fails costs only this possibility: the week is held either way. Where an upload of this run may
    have arrived, nothing is written in its place: what was sent must stay readable.
    """
    if run.settings.submit.sends_model:
        get_run_logger().warning("the gate holds this model, so it is neither exported nor kept to be uploaded later")
        return False
    if unconfirmed_submission(run.path) is not None:
        get_run_logger().error(
            "an upload of this run may have arrived and its prediction stays as it is; look at the submissions of this "
            "slot on the tournament's page"
        )
        return False
    try:
        first, second = predict_twice(run, JudgedEnsemble(ensemble, signature, verdict), live)
        record = write_checked_submission(run, first, second, live)
    except EraflowError as error:
        get_run_logger().error("the prediction of this week cannot be kept for later: %s", error)
        return False
    made_by = str(first.metrics["ensemble_signature"])
    write_down(run, Submission(record, made_by, round_now.number, slot.id, held=True))
    return True


def _write(prediction: StageRecord, path: Path) -> Path:
    frame = read_parquet(prediction.path / "predictions.parquet")
    return write_submission(frame["id"].to_list(), frame["prediction"].to_numpy(), path)


def live_ids(live: Path) -> list[str]:
    """The ids of a live file, whether they are its index, named or not, or a column."""
    footer = read_footer(live)
    return footer.read({footer.require_id(): pl.String}).to_series().to_list()


@task(name="submit", task_run_name="submit", **LIGHT_TASK)
def submit(
    run: Run,
    tournament: Tournament,
    slot: Slot,
    round_now: Round,
    shipped: JudgedEnsemble,
    prepared: PreparedDelivery,
) -> Submission:
    """Send what the verdict allows and read back that it arrived. A dry run stops just before.

    Two runs at once send once: the second one sees what the first has filed. Another submission of this round is
    replaced only where `submit.replace` says so, or where it is the champion's that was sent as an insurance.

    The signature that must be the verdict's is the one that the prediction itself names, not what the flow believes.

    Raises:
        GateBlockedError, StaleVerdictError, WrongEnsembleError: the verdict does not allow it.
    """
    signature, record = prepared.signature, prepared.file
    now = tournament.now()
    check_may_submit(shipped.verdict, signature, round_now.number, now, run.settings.gate)
    write_json(run.path / "submission" / "verdict.json", shipped.verdict.as_dict())
    submission = Submission(record, signature, round_now.number, slot.id)
    if run.settings.submit.dry_run:
        get_run_logger().info("dry run: %s is ready and was not sent", record.path)
    else:
        submission = _send(run, tournament, submission)
    if submission.kept is not None:
        may_be_done = instead_of_what_is_filed(run.path, round_now.close_time)
        write_json(run.path / HELD, {"closes": round_now.close_time.isoformat(), "may_be_done": may_be_done})
    write_down(run, submission)
    show_submission(submission.as_dict(), round_now.number)
    return submission


def _send(run: Run, tournament: Tournament, submission: Submission) -> Submission:
    """Upload. The record says `sending` meanwhile, and goes on saying so where the upload may have arrived."""
    settings, logger = run.settings, get_run_logger()
    slot, number = submission.model_id, submission.round_number
    earlier = unconfirmed_submission(run.path)
    try:
        with (
            only_sender(settings.home_path, destination(settings), slot, number, logger.info),
            timed(run.path, "submit"),
        ):
            write_down(run, replace(submission, sending=True))
            state = tournament.submit(
                Path(submission.record.path),
                slot,
                number,
                settings.submit.confirm_minutes * 60,
                replace=may_be_replaced(settings, slot, number),
                name=str(identity(run.path)["name"]),
            )
    except Exception as error:
        if earlier is not None and not knows_what_is_filed(error):
            write_json(run.path / "submission" / "record.json", earlier)
        elif not (isinstance(error, TournamentError) and error.may_have_arrived):
            write_down(run, None)
        raise
    if not state.ours:
        logger.warning("nothing was sent: %s", kept_in_words(state, number))
        return replace(submission, kept=state)
    logger.info("submission %s for round %s: %s", state.id, number, state.status)
    return replace(submission, state=state)


def may_be_replaced(settings: RunSettings, slot: str, round_number: int) -> bool | frozenset[str]:
    """What of the submissions that are filed for a slot and round may be replaced: all, or those with these ids."""
    return settings.submit.replace or insurances(settings.home_path, source_key(settings), slot, round_number)


def write_down(run: Run, submission: Submission | None) -> None:
    """Write the record of a run's submission, or remove it."""
    path = run.path / "submission" / "record.json"
    if submission is None:
        path.unlink(missing_ok=True)
    else:
        write_json(path, submission.as_dict())
