"""Write the submission, check it as a careful submitter does, and send it: only what a verdict allows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from prefect import get_run_logger, task

from eraflow.store.atomic import write_json
from eraflow.store.stage import StageRecord
from eraflow.store.weekrecord import timed
from eraflow.tournament.client import Round, SubmissionState, Tournament
from eraflow.tournament.gate import check_may_submit
from eraflow.tournament.submission import EmptyLiveError, SubmissionRecord, check_submission, write_submission
from tasks.artifacts import show_submission
from tasks.gate import Shipment
from tasks.run import Run
from tasks.stage import LIGHT_TASK


@dataclass(frozen=True)
class Submission:
    """What was written and what became of it; `state` is None when nothing was sent."""

    record: SubmissionRecord
    state: SubmissionState | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"file": self.record.as_dict(), "state": None if self.state is None else self.state.as_dict()}


@task(name="write-submission", task_run_name="write-submission", **LIGHT_TASK)
def write_checked_submission(run: Run, first: StageRecord, second: StageRecord, live: Path) -> SubmissionRecord:
    """`RUN_DIR/submission/submission.csv` and its record, after all checks.

    Raises:
        EmptyLiveError: the live file has no rows.
        SubmissionCheckError: a check failed; its text names which.
    """
    folder = run.path / "submission"
    ids = live_ids(live)
    if len(ids) == 0:
        raise EmptyLiveError(
            f"{live} has no rows", "wait for Numerai to publish this round's live data, then run again"
        )
    path = _write(first, folder / "submission.csv")
    again = _write(second, folder / ".again" / "submission.csv")
    record = check_submission(path, ids, repeat_sha256=SubmissionRecord.sha256_of(again))
    shutil.rmtree(folder / ".again", ignore_errors=True)
    write_json(folder / "checks.json", record.as_dict())
    record.require()
    return record


def _write(prediction: StageRecord, path: Path) -> Path:
    frame = pl.read_parquet(prediction.path / "predictions.parquet")
    return write_submission(frame["id"].to_list(), frame["prediction"].to_numpy(), path)


def live_ids(live: Path) -> list[str]:
    """The ids of a live file, whether they are its index or a column."""
    return pl.read_parquet(live, columns=["id"])["id"].to_list()


@task(name="submit", task_run_name="submit", **LIGHT_TASK)
def submit(
    run: Run, tournament: Tournament, round_now: Round, shipped: Shipment, record: SubmissionRecord
) -> Submission:
    """Send what the verdict allows and read back that it arrived. A dry run stops just before.

    Raises:
        GateBlockedError, StaleVerdictError, WrongEnsembleError: the verdict does not allow it.
    """
    logger = get_run_logger()
    check_may_submit(
        shipped.verdict,
        ensemble_signature=shipped.signature,
        round_number=round_now.number,
        now=datetime.now(UTC),
        settings=run.settings.gate,
    )
    state = None
    if run.settings.submit.dry_run:
        logger.info("dry run: %s is ready and was not sent", record.path)
    else:
        with timed(run.path, "submit"):
            model_id = tournament.model_id(run.settings.submit.model)
            seconds = run.settings.submit.confirm_minutes * 60
            state = tournament.submit(Path(record.path), model_id, round_now.number, seconds)
        logger.info("submission %s for round %s: %s", state.id, round_now.number, state.status)
    submission = Submission(record, state)
    write_json(run.path / "submission" / "record.json", submission.as_dict())
    show_submission(submission.as_dict(), round_now.number)
    return submission
