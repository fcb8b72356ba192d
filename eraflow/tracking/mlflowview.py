"""What MLflow's pages show of a home: the table of an experiment with the scores as its columns, models with files.

The view is one that MLflow's own button "Share" would make: a tag of the experiment that its page reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.tracking.mlflowlink import TrackingError
from eraflow.tracking.tracking import TrackedRun, Tracker
from eraflow.tracking.trackingtext import as_tags, flatten, text_params

VIEW = "scores"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
"""Or the page asks whether this is about language models."""
HEADLINES = {"corr": "CORR", "mmc": "MMC", "bmc": "BMC", "fnc": "FNC", "payout": "payout"}
"""Score to the name of its mean among the metrics: what the table shows first."""
SHOWN = ("CORR", "payout", "MMC", "BMC")
COLUMNS = (*(f"metrics.`{name}`" for name in SHOWN), "metrics.`corr_sharpe`", "metrics.`minutes`", "tags.`kind`")


def experiment_page(tracker: Tracker) -> str:
    """Where the table with the scores is found, below the address of MLflow's pages: that of the newest run.

    Raises:
        TrackingError: MLflow cannot be read or written.
    """
    number = _newest_experiment(tracker)
    found = tracker.link.call("get_experiment", number).tags
    for key, value in {KIND_TAG: KIND, VIEW_TAG: view_state()}.items():
        if found.get(key) != value:
            tracker.link.call("set_experiment_tag", number, key, value)
    return f"#/experiments/{number}/runs?viewStateShareKey={VIEW}"


def _newest_experiment(tracker: Tracker) -> str:
    """Of the experiments that the settings' name stands for, one for each artifact root, that of the newest run."""
    own, name = tracker.experiment_id(), tracker.settings.experiment
    there = tracker.link.call("search_experiments")
    numbers = [str(each.experiment_id) for each in there if each.name == name or each.name.startswith(f"{name}, ")]
    newest = tracker.link.call("search_runs", numbers or [own], order_by=["attributes.start_time DESC"], max_results=1)
    return str(newest[0].info.experiment_id) if newest else own


def view_state() -> str:
    """The shared state of the page: newest first, the scores as columns."""
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(COLUMNS),
        "viewMaximized": True,
    }
    return json.dumps(state, sort_keys=True)


def log_model(
    tracker: Tracker, run: TrackedRun, name: str, folder: Path, *, params: Mapping[str, Any], tags: Mapping[str, Any]
) -> str | None:
    """Give a run its model, with its files where MLflow's page of the model looks for them; returns the model's id.

    Args:
        tracker: the store.
        run: that trained it; nothing happens where it is finished already.
        name: of the model; MLflow takes no `/`, `:`, `.`, `%` or quotes in it.
        folder: with the files.
        params: nested settings.
        tags: None values are left out.

    Raises:
        TrackingError: the folder is not there, or MLflow cannot be written.
    """
    if run.reused:
        return None
    if not folder.is_dir():
        raise TrackingError(f"{folder} is not there, so it cannot be recorded", "run the stage that makes it")
    model = tracker.link.call(
        "create_logged_model",
        tracker.experiment_id(),
        name=name,
        source_run_id=run.run_id,
        params=text_params(flatten(params)),
        tags=as_tags(tags),
        model_type="eraflow",
    )
    identity = str(model.model_id)
    try:
        tracker.link.call("log_model_artifacts", identity, str(folder))
    except TrackingError:
        tracker.link.call("finalize_logged_model", identity, "FAILED")
        raise
    tracker.link.call("finalize_logged_model", identity, "READY")
    from mlflow.entities import LoggedModelOutput

    tracker.link.call("log_outputs", run.run_id, [LoggedModelOutput(identity, step=0)])
    return identity
