"""Train one model: out-of-fold on every window, then once more on everything for live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from prefect import State, get_run_logger, task

from eraflow.attempt import Work
from eraflow.settings import ModelSettings
from eraflow.store.stage import StageRecord
from tasks.features import Features
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
    )
    return run_stage(run, work)


def enough(run: Run, states: Sequence[State[StageRecord]]) -> list[StageRecord]:
    """The models that were trained. One that failed for good costs itself, not the week, while enough are left.

    Raises:
        EraflowError: the failure of the first lost model, when fewer than `gate.min_models` are left.
    """
    trained = [state.result() for state in states if state.is_completed()]
    lost = [state for state in states if not state.is_completed()]
    needed = min(run.settings.gate.min_models, len(states))
    if len(trained) < needed:
        lost[0].result()  # raises what happened to it
    for state in lost:
        get_run_logger().error("a model is lost, the week goes on with %d: %s", len(trained), state.message)
    return trained
