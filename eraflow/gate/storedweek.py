"""A week whose prediction was made and not sent, read from its folder, verified, and judged anew from stored scores."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eraflow.discovery.leakstage import LEAKS, LEAKS_STAGE
from eraflow.disk.digest import file_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.disk.plainpaths import read_parquet
from eraflow.errors import EraflowError
from eraflow.gate.adaptedbases import adapted_bases
from eraflow.gate.gate import WrongEnsembleError, judge
from eraflow.gate.triedconfigurations import tried_configurations
from eraflow.gate.verdict import Verdict, read_verdict
from eraflow.numerai.submission import SubmissionRecord, check_submission
from eraflow.numerai.submission_csv import write_submission
from eraflow.runs.stage import DamagedStageError, StageRecord, require
from eraflow.runs.weekrecord import members
from eraflow.scoring.backtest import BLEND, read_benchmark, read_history, read_scores
from eraflow.scoring.scoring import ModelScores
from eraflow.settings.gate import GateSettings
from eraflow.settings.run import RunSettings

PREDICTIONS = "predictions.parquet"
_AGAIN = "run the week again; nothing of this folder is sent"


class NothingToSendError(EraflowError):
    """The folder holds no prediction that could be sent. Run a week, or go on with this one."""

    code = "nothing_to_send"
    exit_code = 2


class ChangedFilesError(EraflowError):
    """Files of the run are not those that it made. Nothing of it is sent."""

    code = "changed_files"


@dataclass(frozen=True)
class StoredWeek:
    """What a held or dry run left, verified.

    Attributes:
        path: the run's folder.
        settings: those of the run, with what was changed for sending.
        csv: the submission.
        record: its checks, made anew.
        signature: of the ensemble that made exactly these predictions.
        slot_id: the slot it was predicted for.
        round_number: the round whose live data was predicted.
        blended, backtested: the stages of the run's own ensemble; None where the champion predicted.
    """

    path: Path
    settings: RunSettings
    csv: Path
    record: SubmissionRecord
    signature: str
    slot_id: str
    round_number: int
    blended: StageRecord | None
    backtested: StageRecord | None

    def verdict(self, champion: ModelScores | None, now: datetime) -> Verdict:
        """The verdict on this ensemble by the settings as they are now. The champion's own is not judged anew.

        Raises:
            VerdictFileError: the champion's stored verdict cannot be read.
        """
        if self.backtested is None:
            return read_verdict(self.path / "submission" / "verdict.json")
        gate: GateSettings = self.settings.gate
        scored = read_scores(self.backtested.path)
        scores = scored[BLEND]
        return judge(
            scores,
            champion=champion,
            settings=gate,
            horizon_days=scores.horizon_days,
            ensemble_signature=self.signature,
            round_number=self.round_number,
            models_trained=sum(name in self.settings.blended_models for name in members(self.path)),
            models_wanted=len(self.settings.blended_models),
            now=now,
            bases=adapted_bases(self.path),
            tried=tried_configurations(self.path, self.settings.home_path, scores.target),
            history=read_history(self.backtested.path),
            benchmark=read_benchmark(self.backtested.path, scored),
            leaks=read_object(self.path / LEAKS_STAGE / LEAKS),
        )


def read_stored_week(run_dir: Path, settings: RunSettings) -> StoredWeek:
    """The prediction of a run, with everything that vouches for it.

    The submission is written anew from the stored predictions and must have the same bytes; the predictions, the
    scores and the ensemble must be those that their manifests list.

    Raises:
        NothingToSendError: the run made no prediction, or it is not known for which round.
        ChangedFilesError: a file is not what the run made.
        WrongEnsembleError: the predictions are of another ensemble than the one that was judged.
        SubmissionCheckError: the submission does not pass its checks.
    """
    noted, csv = read_object(run_dir / "submission" / "record.json") or {}, run_dir / "submission" / "submission.csv"
    if not noted or not csv.is_file():
        raise NothingToSendError(
            f"{run_dir} holds no prediction that was checked and not sent",
            "run a week that ends held or as a dry run",
        )
    predicted, again = (_stage(run_dir / f"predict-{name}") for name in ("live", "again"))
    signature, number = str(predicted.metrics.get("ensemble_signature")), noted.get("round_number")
    if not isinstance(number, int) or (read_object(run_dir / "round.json") or {}).get("number", number) != number:
        raise ChangedFilesError(f"{run_dir}: the files do not agree on the round that was predicted", _AGAIN)
    if noted.get("ensemble_signature") != signature:
        raise WrongEnsembleError(f"{csv} was made by another ensemble than {predicted.path} names", _AGAIN)
    record = _checked(csv, predicted, again, str((noted.get("file") or {}).get("sha256")))
    blended = _stage(run_dir / "blend") if (run_dir / "blend").is_dir() else None
    if blended is not None and blended.metrics.get("ensemble_signature") != signature:
        blended = None  # the champion stood in
    if blended is None and not (run_dir / "submission" / "verdict.json").is_file():
        raise WrongEnsembleError(
            f"{csv} was made by ensemble {signature[:12]}, which is not the one that was judged", _AGAIN
        )
    backtested = None if blended is None else _stage(run_dir / "backtest")
    slot_id = str(noted.get("model_id") or "")
    return StoredWeek(run_dir, settings, csv, record, signature, slot_id, number, blended, backtested)


def _checked(csv: Path, predicted: StageRecord, again: StageRecord, noted: str) -> SubmissionRecord:
    """The checks of the submission, against what the stored predictions make of it."""
    with tempfile.TemporaryDirectory(prefix="eraflow-submit-") as scratch:
        first, second = (
            file_sha256(write_submission(ids, values, Path(scratch) / f"{name}.csv"))
            for name, (ids, values) in (("live", _predictions(predicted)), ("again", _predictions(again)))
        )
    found = file_sha256(csv)
    if not found == first == noted:
        raise ChangedFilesError(f"{csv} is not the submission that this run made", _AGAIN)
    return check_submission(csv, _predictions(predicted)[0], second).require()


def _predictions(stage: StageRecord) -> tuple[list[str], Any]:
    frame = read_parquet(stage.path / PREDICTIONS)
    return frame["id"].to_list(), frame["prediction"].to_numpy()


def _stage(folder: Path) -> StageRecord:
    try:
        return require(folder)
    except DamagedStageError as error:
        raise ChangedFilesError(error.problem, _AGAIN) from error
