"""The environment that Prefect is started in; set before its first import, because it reads it then."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from eraflow.disk.atomic import storage_errors
from eraflow.disk.home import make_home, user_folder
from eraflow.disk.ownership import check_home
from eraflow.disk.sqliteurl import sqlite_url
from flows.command.prefectserver.runningserver import prefect_folder, running_server

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_CLI_PROMPT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # queues and workers for judges of language models
}


def prepare(home: Path) -> str:
    """Make the home folder, set what is not set yet, and return the words that tell which server knows this run.

    A Prefect server that the user has named in `PREFECT_API_URL` is used; then the one that `eraflow server` runs for
    this home; then one that a profile of the user's names. Otherwise the words are empty. The history of a home lies in
    its folder `prefect` (or in `PREFECT_HOME`), whoever writes it: a run's own server, `eraflow server`, `eraflow ui`.

    Raises:
        ForeignFolderError: the home folder is somebody else's; nothing in it was touched.
    """
    check_home(home)
    give_a_user_folder(home)
    make_home(home)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if os.environ.get("PREFECT_API_URL"):
        return f"the Prefect server at {os.environ['PREFECT_API_URL']}"
    folder = prefect_folder(home)
    running = running_server(folder)
    if running is None and _profile_names_a_server():
        return "the server of your Prefect profile"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ["PREFECT_HOME"] = str(folder)
    for name, value in database_of(folder).items():
        os.environ.setdefault(name, value)
    if running is None:
        return ""
    os.environ["PREFECT_API_URL"] = f"{running}/api"
    return f"the Prefect server of this home at {running}"


def page_of(server: str) -> str:
    """Where a person looks at the server that `prepare` has told of; its words where no address is known."""
    named = os.environ.get("PREFECT_API_URL", "").rstrip("/").removesuffix("/api")
    return named if server and named else server


def database_of(folder: Path) -> dict[str, str]:
    """What Prefect must be told of the database in its folder: the address it makes by itself may be cut at a sign."""
    database = sqlite_url(folder / "prefect.db", "sqlite+aiosqlite")
    return {"PREFECT_API_DATABASE_CONNECTION_URL": database} if "?" in database else {}


def give_a_user_folder(home: Path) -> None:
    """Where the user has no folder, as under some services, let libraries that want one have one in the home folder."""
    if user_folder() is None:
        os.environ["HOME"] = str(home)
    elif os.environ.get("HOME") != str(user_folder()):
        os.environ["HOME"] = str(user_folder())


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
