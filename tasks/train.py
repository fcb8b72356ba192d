"""Train one model: out-of-fold on every window, then once more on everything for live."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import Any

from prefect import get_run_logger, task

from eraflow.data.membereras import target_of
from eraflow.kinds import find
from eraflow.runs.attempt import Work
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import TRAIN, note_lost
from eraflow.settings.models import ModelSettings
from tasks.alert import tell_people
from tasks.features import Features, final_eras_for, windows_for
from tasks.needs import train_need
from tasks.pages.discoverypage import show_importance
from tasks.run import Run
from tasks.select import selection_path
from tasks.stage import STAGE_TASK, record_or_loss, run_stage
from tasks.tuning import tuned_models

CACHE = "cache/bins"
FREE_SHARE = 4
"""Binned data take at most this part of the free disk, what the settings allow notwithstanding."""


@task(name="train", task_run_name="train-{model.name}", **STAGE_TASK)
def train(run: Run, features: Features, model: ModelSettings, chosen: StageRecord | None = None) -> StageRecord:
    """Out-of-fold predictions and the final model of one member, on its own target and the features chosen for it."""
    selection = chosen if _selects(run, model) else None
    decided = {
        "model": _described(model),
        "windows": [asdict(window) for window in windows_for(features, model)],
        "resolved_eras": list(final_eras_for(features, model)),
        "target": target_of(features.contract, model),
        "benchmark": features.contract.benchmark if model.learn == "residual" else None,
        "seed": run.settings.seed,
    }
    inputs = {"features": features.record.signature}
    work = Work(
        name=f"{TRAIN}{model.name}",
        target="models.training.train:train_model",
        settings=decided,
        inputs=inputs if selection is None else {**inputs, "selection": selection.signature},
        arguments={
            **decided,
            "store": str(features.store),
            "selection": selection_path(selection),
            "bins": kept_bins(run, features),
            "importance": _importance(run, features),
        },
        need=train_need(features, model, selection),
    )
    record = run_stage(run, work)
    show_importance(run.settings, model.name, record)
    return record


def _described(model: ModelSettings) -> dict[str, Any]:
    """What is trained; of a user's own kind, the sha256 of its source, too, and the child trains no other."""
    source = find(model.kind).source
    own = {"source": source} if source else {}
    return {"kind": model.kind, "name": model.name, "params": dict(model.params), **own}


def kept_bins(run: Run, features: Features) -> dict[str, Any] | None:
    """Where binned rows of this era store are kept, as `trainer.KeptBins` takes it; None when they are not."""
    folder = run.settings.home_path / CACHE
    free_mb = shutil.disk_usage(run.settings.home_path).free // 2**20
    most_mb = min(run.settings.machine.cache_mb, free_mb // FREE_SHARE)
    if most_mb == 0:
        return None
    return {"folder": str(folder), "data_key": features.record.signature, "most_mb": most_mb}


def _importance(run: Run, features: Features) -> dict[str, Any] | None:
    """How importance is measured, as `trainer.ImportanceSample` takes it: on what everybody is judged on."""
    rows = run.settings.selection.importance_rows
    return {"target": features.contract.target, "rows": rows} if rows else None


def _selects(run: Run, model: ModelSettings) -> bool:
    names = run.settings.selection.models
    return not names or model.name in names


def train_all(run: Run, features: Features, chosen: StageRecord | None = None) -> list[StageRecord]:
    """Train every model of the settings. One that failed for good costs itself, not the week, while enough are left.

    Args:
        run: the settings and the folder.
        features: the era store and the windows.
        chosen: the selection stage; None: every model uses all features.

    Raises:
        SettingsError: a parameter of a model is wrong, or a model is to be tuned and was not searched for; a person has
            to correct it, so nothing else is trained.
        EraflowError: the failure of the first lost model, when fewer than `gate.min_models` are left.
    """
    trained: list[StageRecord] = []
    lost: dict[str, Exception] = {}
    for model in tuned_models(run):
        outcome = record_or_loss(train(run, features, model, chosen, return_state=True))
        if isinstance(outcome, StageRecord):
            trained.append(outcome)
            continue
        lost[model.name] = outcome
        note_lost(run.path, f"{TRAIN}{model.name}", outcome)
        get_run_logger().error("%s is lost, the week goes on without it: %s", model.name, outcome)
        tell_people(
            run, f"Eraflow: {model.name} is lost, the week goes on without it", f"{outcome}\nrun folder {run.path}"
        )
    if len(trained) < min(run.settings.gate.min_models, len(run.settings.models)):
        raise next(iter(lost.values()))
    return trained
