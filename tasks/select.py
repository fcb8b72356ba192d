"""Select the features that models learn from, window by window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import get_run_logger, task

from eraflow.discovery.selection import FILLED
from eraflow.discovery.stage import SelectJob
from eraflow.runs.attempt import Work
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import SELECT, note_lost
from eraflow.scoring.statistics import overlap_weeks
from tasks.alert import tell_people
from tasks.features import Features
from tasks.pages.discoverypage import show_associations, show_selection
from tasks.run import Run
from tasks.stage import STAGE_TASK, record_or_loss, run_stage


def select(run: Run, features: Features) -> StageRecord | None:
    """The selection of every window and of live, or None when all features are used.

    The record's folder holds `selection.json`: {"method", "windows": [{"index", "features"}], "live"}. A selection that
    failed for good costs itself, not the week: the models then learn from all features, and that is told.

    Raises:
        SettingsError: a setting is wrong.
    """
    if run.settings.selection.method == "none":
        return None
    outcome = record_or_loss(_select(run, features, return_state=True))
    if isinstance(outcome, StageRecord):
        return outcome
    note_lost(run.path, SELECT, outcome)
    get_run_logger().error("the selection is lost, all features are used: %s", outcome)
    tell_people(run, "Eraflow: the selection of features is lost, all are used", f"{outcome}\nrun folder {run.path}")
    return None


@task(name=SELECT, task_run_name=SELECT, **STAGE_TASK)
def _select(run: Run, features: Features) -> StageRecord:
    contract = features.contract
    job = SelectJob(
        windows=features.windows,
        final_eras=features.training_eras,
        target=contract.target,
        overlap_weeks=overlap_weeks(contract.horizon_days),
        selection=run.settings.selection,
        store=features.store,
    )
    # The memory it needs is bounded, whatever the size of the data: a few tiles and the candidates' covariances.
    work = Work(SELECT, "eraflow.discovery.stage:select_features", job, {"features": features.record.signature})
    record = run_stage(run, work)
    get_run_logger().info("features selected of %d: %s", record.metrics["features"], selection_in_words(record.metrics))
    show_selection(record)
    show_associations(run.settings, contract.target, record)
    return record


def selection_in_words(metrics: Mapping[str, Any]) -> str:
    """How many features each window has, and how many of them no test speaks for."""
    filled = {label: counts.get(FILLED, 0) for label, counts in metrics["outcomes"].items()}
    return ", ".join(
        f"window {label} {count}" + (f" ({filled[label]} only to reach the least number)" if filled[label] else "")
        for label, count in metrics["chosen"].items()
    )
