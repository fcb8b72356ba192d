"""How a run is named in the Prefect UI while it works and when it has ended, and its report of the week."""

from __future__ import annotations

import logging
from pathlib import Path
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from eraflow.reports.weekreport import week_report
from eraflow.runs.outcome import INTERRUPTED, outcome_of
from tasks.pages.artifacts import Place, shown
from tasks.pages.links import artifact_path

REPORT = "report-of-the-week"
PAGES = {"the verdict of the gate": "verdict", "models": "models", "the submission and its checks": "submission"}


def name_run(run_dir: Path, words: str | None = None) -> None:
    """Give the flow run at work the name that its folder tells: `weekly 1404 running`, `weekly 1404 sent`.

    Args:
        run_dir: the folder.
        words: in place of an outcome, as long as there is none.
    """
    flow_run_id = flow_run.get_id()
    if flow_run_id is None:
        return
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run_id), name=outcome_of(run_dir, words).name)
    except Exception as error:  # noqa: BLE001 - a name is for people's eyes and must never cost the run
        logging.getLogger(__name__).info("the run cannot be renamed: %s: %s", type(error).__name__, error)


def show_end(run_dir: Path) -> None:
    """Name the run after its outcome, and show its report: as the newest artifact, which the UI lists first.

    A search has pages of its own, and whoever interrupts a run does not wait for one.
    """
    name_run(run_dir)
    outcome = outcome_of(run_dir)
    if outcome.flow == "search" or outcome.words == INTERRUPTED:
        return
    links = {label: artifact_path(key) for label, key in PAGES.items()}
    shown(
        lambda: create_markdown_artifact(
            week_report(run_dir, links), key=REPORT, description=f"Report of the week: {outcome.name}"
        ),
        Place.REPORT,
    )
