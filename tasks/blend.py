"""Blend the members' out-of-fold predictions and lay the ensemble out as one folder."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task

from eraflow.attempt import Work
from eraflow.store.stage import StageRecord
from tasks.features import Features
from tasks.needs import blend_need
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage


@task(name="blend", task_run_name="blend", **STAGE_TASK)
def blend(run: Run, features: Features, members: Sequence[StageRecord]) -> StageRecord:
    """The blend's out-of-fold predictions and the ensemble folder that predicts live."""
    names = {record.name.removeprefix("train-"): record for record in members}
    contract = features.contract
    decided = {
        "method": run.settings.blend.method,
        "target": contract.target,
        "horizon_days": contract.horizon_days,
        "data_version": run.settings.data.version,
    }
    work = Work(
        name="blend",
        target="models.blend:blend_members",
        settings=decided,
        inputs={name: record.signature for name, record in names.items()},
        arguments={
            **decided,
            "members": {name: record.folder for name, record in names.items()},
            "store": str(features.store),
        },
        need=blend_need(members),
    )
    return run_stage(run, work)
