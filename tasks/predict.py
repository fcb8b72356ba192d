"""Predict the live era, twice: the second time in a fresh process, to prove that the answer is reproducible."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from eraflow.disk.digest import file_sha256
from eraflow.runs.attempt import Work
from eraflow.runs.codeversion import learners_of
from eraflow.runs.stage import StageRecord
from models.prediction.job import PredictJob
from models.prediction.predictor import kinds_in
from tasks.gate import JudgedEnsemble
from tasks.needs import predict_need
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage


def predict_twice(run: Run, shipped: JudgedEnsemble, live: Path) -> tuple[StageRecord, StageRecord]:
    """The live prediction and its repetition; their equality is one of the checks of the submission."""
    first, second = (predict_live(run, shipped, live, name) for name in ("live", "again"))
    return first, second


@task(name="predict", task_run_name="predict-{name}", **STAGE_TASK)
def predict_live(run: Run, shipped: JudgedEnsemble, live: Path, name: str) -> StageRecord:
    """`predictions.parquet` with id, era and the raw blended prediction of every live row."""
    work = Work(
        name=f"predict-{name}",
        target="models.prediction.predict:predict_live",
        job=PredictJob(shipped.ensemble, live),
        inputs={"ensemble": shipped.signature, "live": file_sha256(live)},
        need=predict_need(shipped.ensemble, live),
        learners=learners_of(kinds_in(shipped.ensemble)),
    )
    return run_stage(run, work)
