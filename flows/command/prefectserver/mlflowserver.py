"""MLflow's pages on the models of a home."""

from __future__ import annotations

import sys
from pathlib import Path

from eraflow.disk.sqliteurl import sqlite_url
from eraflow.errors import EraflowError
from flows.command.terminal.outputs import complain

PREFECT_PORT, MLFLOW_PORT = 4200, 5000


def mlflow_page(home: Path, address: str) -> str:
    """The page of the home's experiment, with its scores as columns; MLflow's first one where nothing is recorded."""
    from eraflow.settings.tracking import TrackingSettings
    from eraflow.tracking.mlflowview import experiment_page
    from eraflow.tracking.tracking import Tracker

    tracker = Tracker(home, TrackingSettings())
    if not tracker.exists():
        return address
    try:
        return f"{address}/{experiment_page(tracker)}"
    except EraflowError as error:
        complain(str(error))
        return address


def mlflow_command(home: Path, port: int) -> list[str]:
    """What serves MLflow's pages on the models of a home: one worker is enough for one user."""
    store = sqlite_url(home / "mlflow.db")
    options = ["--backend-store-uri", store, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "ui", *options]
