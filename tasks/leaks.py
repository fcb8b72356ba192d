"""Look for features that hold the answer, before the gate judges."""

from __future__ import annotations

from prefect import get_run_logger, task

from eraflow.data.eras import ALIAS_TARGET, UnknownHorizonError, target_horizon
from eraflow.discovery.leakstage import LEAKS_STAGE, LeakJob
from eraflow.runs.attempt import Work
from eraflow.runs.stage import StageRecord
from eraflow.scoring.statistics import overlap_weeks
from tasks.features import Features
from tasks.refresh import Data
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage


@task(name=LEAKS_STAGE, task_run_name=LEAKS_STAGE, **STAGE_TASK)
def look_for_leaks(run: Run, data: Data, features: Features) -> StageRecord | None:
    """The record of the stage, whose findings the gate judges; None where both of its rules are switched off."""
    gate = run.settings.gate
    if gate.max_feature_corr is None and gate.max_copy is None:
        return None
    contract = features.contract
    listed = [*contract.targets, *(name for name in data.catalog.targets if name != ALIAS_TARGET)]
    job = LeakJob(
        overlaps={target: _overlap(target, contract.horizon_days) for target in dict.fromkeys(listed)},
        store=features.store,
        files=(data.files.train, data.files.validation),
    )
    # The data's signature is part of the features'.
    work = Work(LEAKS_STAGE, "eraflow.discovery.leakstage:find_leaks", job, {"features": features.record.signature})
    record = run_stage(run, work)
    get_run_logger().info("looked for leaks: %s", record.metrics["largest"].get(contract.target))
    return record


def _overlap(target: str, otherwise: int) -> int:
    """Weeks over which the labels of a target overlap; those of the run's own where its name does not tell."""
    try:
        return overlap_weeks(otherwise if target == ALIAS_TARGET else target_horizon(target))
    except UnknownHorizonError:
        return overlap_weeks(otherwise)
