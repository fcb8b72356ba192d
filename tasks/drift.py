"""Look at the live era that was predicted: features unlike ever before, exposure, and the week before."""

from __future__ import annotations

from pathlib import Path

from prefect import get_run_logger, task

from eraflow.discovery.driftalarms import drift_alarms
from eraflow.discovery.livedriftstage import DRIFT_STAGE, DriftJob
from eraflow.disk.digest import file_sha256
from eraflow.errors import EraflowError
from eraflow.gate.verdict import Verdict
from eraflow.numerai.client import Slot
from eraflow.runs.attempt import Work
from eraflow.runs.stage import StageRecord
from eraflow.tracking.registry import champion_info, load_champion
from models.ensembles.ensemble import read_ensemble
from models.prediction.predict import PREDICTIONS
from tasks.alert import tell_people
from tasks.features import Features
from tasks.gate import JudgedEnsemble
from tasks.pages.driftpage import show_drift_of_live
from tasks.predict import predict_live
from tasks.register import log_drift, seat_of, tracker
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage

PREVIOUS = "previous"
"""Folder of the run in which the ensemble lies that was shipped before."""


def previous_ensemble(run: Run, slot: Slot, own: str) -> JudgedEnsemble | None:
    """The champion as it is before this week's ensemble is registered; None without one, or where it is this week's.

    Args:
        own: signature of this week's ensemble.
    """
    if not run.settings.drift.enabled or not run.settings.tracking.enabled:
        return None
    try:
        seat = seat_of(run, slot)
        champion = champion_info(tracker(run), seat)
        if champion is None or champion.verdict is None or champion.signature == own:
            return None
        folder = load_champion(tracker(run), run.path / PREVIOUS / "ensemble", seat)
        signature = str(read_ensemble(folder)["signature"]) if folder else ""
        return JudgedEnsemble(folder, signature, Verdict.from_dict(champion.verdict)) if folder else None
    except EraflowError as error:
        get_run_logger().warning("the ensemble of the week before cannot be read: %s", error)
        return None


def look_at_drift(
    run: Run, features: Features, live: Path, own: JudgedEnsemble, previous: JudgedEnsemble | None, tracked: str | None
) -> None:
    """Look, show and tell; a failure costs nothing but this look.

    Args:
        own: this week's ensemble, sent or held.
        previous: see `previous_ensemble`.
        tracked: the ensemble's MLflow run, which gets the figures.
    """
    if not run.settings.drift.enabled:
        return
    try:
        record = _look(run, features, live, own, previous)
    except EraflowError as error:
        get_run_logger().error("the live era was not looked at: %s", error)
        return
    show_drift_of_live(record.metrics)
    log_drift(run, tracked, record.metrics)
    alarms = drift_alarms(record.metrics, run.settings.drift)
    for alarm in alarms:
        get_run_logger().warning("%s", alarm)
    if alarms:
        tell_people(run, "Eraflow: the live era is unlike those before", "\n".join(alarms))


def _look(
    run: Run, features: Features, live: Path, own: JudgedEnsemble, previous: JudgedEnsemble | None
) -> StageRecord:
    predicted = predict_live(run, own, live, "live")
    before = predict_live(run, previous, live, PREVIOUS) if previous is not None else None
    return look_at_live(run, features, live, predicted, before)


@task(name=DRIFT_STAGE, task_run_name=DRIFT_STAGE, **STAGE_TASK)
def look_at_live(
    run: Run, features: Features, live: Path, predicted: StageRecord, before: StageRecord | None
) -> StageRecord:
    """The stage `drift`."""
    drift = run.settings.drift
    job = DriftJob(
        features=features.contract.features,
        eras=drift.eras,
        error_rate=drift.error_rate,
        store=features.store,
        live=live,
        predictions=predicted.path / PREDICTIONS,
        previous=None if before is None else before.path / PREDICTIONS,
    )
    inputs = {"features": features.record.signature, "live": file_sha256(live), "predictions": predicted.signature}
    inputs |= {} if before is None else {PREVIOUS: before.signature}
    return run_stage(run, Work(DRIFT_STAGE, "eraflow.discovery.livedriftstage:look_at_live", job, inputs))
