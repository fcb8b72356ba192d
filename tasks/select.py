"""Select the features that models learn from, window by window."""

from __future__ import annotations

from dataclasses import asdict

from prefect import get_run_logger, task

from eraflow.attempt import Work
from eraflow.discovery.stage import SELECTION
from eraflow.store.stage import StageRecord
from eraflow.tournament.statistics import overlap_weeks
from tasks.discoveries import show_associations, show_selection
from tasks.features import Features
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage

NOT_OF_THE_CHOICE = {"models", "importance_rows"}


def select(run: Run, features: Features) -> StageRecord | None:
    """The selection of every window and of live, or None when all features are used.

    The record's folder holds `selection.json`: {"method", "windows": [{"index", "features"}], "live"}.
    """
    return None if run.settings.selection.method == "none" else _select(run, features)


@task(name="select", task_run_name="select", **STAGE_TASK)
def _select(run: Run, features: Features) -> StageRecord:
    contract, settings = features.contract, run.settings.selection
    decided = {
        "windows": [asdict(window) for window in features.windows],
        "resolved_eras": list(features.training_eras),
        "target": contract.target,
        "overlap_weeks": overlap_weeks(contract.horizon_days),
        "selection": settings.model_dump(mode="json", exclude=NOT_OF_THE_CHOICE),
    }
    work = Work(
        name="select",
        target="eraflow.discovery.stage:select_features",
        settings=decided,
        inputs={"features": features.record.signature},
        arguments={**decided, "store": str(features.store)},
        # The memory it needs is bounded, whatever the size of the data: a few tiles and the candidates' covariances.
    )
    record = run_stage(run, work)
    chosen = record.metrics["chosen"]
    get_run_logger().info("features selected of %d: %s", record.metrics["features"], chosen)
    show_selection(record)
    show_associations(run, contract.target, record)
    return record


def selection_path(record: StageRecord | None) -> str | None:
    """The path of `selection.json`, or None when nothing was selected."""
    return None if record is None else str(record.path / SELECTION)
