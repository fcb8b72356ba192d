"""Train one model: out-of-fold on every window, then once more on everything for live."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import get_run_logger, task

from eraflow.attempt import Work
from eraflow.errors import SettingsError
from eraflow.settings import ModelSettings
from eraflow.store.stage import StageRecord
from eraflow.store.weekrecord import note_lost
from tasks.alert import tell
from tasks.features import Features
from tasks.needs import train_need
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage


@task(name="train", task_run_name="train-{model.name}", **STAGE_TASK)
def train(run: Run, features: Features, model: ModelSettings) -> StageRecord:
    """Out-of-fold predictions and the final model of one member."""
    decided = {
        "model": model.model_dump(mode="json"),
        "windows": [asdict(window) for window in features.windows],
        "resolved_eras": list(features.training_eras),
        "target": features.contract.target,
        "seed": run.settings.seed,
    }
    work = Work(
        name=f"train-{model.name}",
        target="models.train:train_model",
        settings=decided,
        inputs={"features": features.record.signature},
        arguments={**decided, "store": str(features.store)},
        need=train_need(features, model),
    )
    return run_stage(run, work)


def train_all(run: Run, features: Features) -> list[StageRecord]:
    """Train every model of the settings. One that failed for good costs itself, not the week, while enough are left.

    Raises:
        SettingsError: a parameter of a model is wrong; a person has to correct it, so nothing else is trained.
        EraflowError: the failure of the first lost model, when fewer than `gate.min_models` are left.
    """
    trained: list[StageRecord] = []
    lost: dict[str, BaseException] = {}
    for model in run.settings.models:
        state = train(run, features, model, return_state=True)
        if state.is_completed():
            trained.append(state.result())
            continue
        error: Any = state.result(raise_on_failure=False)
        if isinstance(error, SettingsError) or not isinstance(error, Exception):  # or Ctrl-C, which is no model's fault
            state.result()
        lost[model.name] = error
        get_run_logger().error("%s is lost, the week goes on without it: %s", model.name, error)
        tell(run, f"Eraflow: {model.name} is lost, the week goes on without it", f"{error}\nrun folder {run.path}")
    note_lost(run.path, lost)
    if len(trained) < min(run.settings.gate.min_models, len(run.settings.models)):
        raise next(iter(lost.values()))
    return trained
