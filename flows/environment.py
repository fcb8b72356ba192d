"""The environment that Prefect is started in; set before its first import, because it reads it then."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from eraflow.home import make_home, user_folder
from eraflow.store.atomic import storage_errors
from eraflow.store.sqliteurl import sqlite_url

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_CLI_PROMPT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def prepare(home: Path) -> str:
    """Set what is not set yet, and return the words that tell which server knows this run; empty: none is named.

    A Prefect server that the user has named (`PREFECT_API_URL`, or a profile) is used. Otherwise Prefect's own folder
    lies in the home folder (or in `PREFECT_HOME`), so that runs from the terminal can be looked at with `eraflow ui`.
    """
    make_home(home)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if os.environ.get("PREFECT_API_URL"):
        return f"the Prefect server at {os.environ['PREFECT_API_URL']}"
    if _profile_names_a_server():
        return "the server of your Prefect profile"
    prefect_home = Path(os.environ.setdefault("PREFECT_HOME", str(home / "prefect")))
    with storage_errors(prefect_home):
        prefect_home.mkdir(parents=True, exist_ok=True)
    database = sqlite_url(prefect_home / "prefect.db", "sqlite+aiosqlite")
    if "?" in database:  # the address that Prefect makes of its folder by itself would be cut there
        os.environ.setdefault("PREFECT_API_DATABASE_CONNECTION_URL", database)
    return ""


def _profile_names_a_server() -> bool:
    """Whether the active profile of the user's own Prefect folder names a server; others are somebody's plans."""
    user = user_folder()
    folder = os.environ.get("PREFECT_HOME") or (user and user / ".prefect")
    if not folder:
        return False
    try:
        values = tomllib.loads((Path(folder) / "profiles.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or one that Prefect itself cannot read
        return False
    active = os.environ.get("PREFECT_PROFILE") or values.get("active")
    return bool(values.get("profiles", {}).get(active, {}).get("PREFECT_API_URL"))
