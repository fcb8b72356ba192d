"""`eraflow resume`: crashed runs of the deployments go back on the schedule. Run by a timer every five minutes."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eraflow.disk.home import home_folder
from eraflow.runs.rundir import RunLockedError, locked
from flows.command.prefectserver.environment import prepare
from flows.command.prefectserver.runserver import PrefectUnreachableError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record, say

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

LOCK_FOLDER = "resume"
POLL_SECONDS = 2.0


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "resume",
        help="put crashed runs of the deployments back on the schedule",
        description="Reschedule the crashed runs of the deployments with the tag eraflow: each once, never beside "
        "another run of its deployment, never one that was for an older round. Safe to call at any time; the timer in "
        "deployments/ does it every five minutes. A run from the terminal goes on with `eraflow run --resume`.",
    )
    verb.add_argument(
        "--install",
        action="store_true",
        help="also put the automation that finds runs without a heartbeat on the server",
    )
    verb.add_argument(
        "--after", metavar="SECONDS", type=_number, default=60, help="leave younger crashes alone (default 60)"
    )
    verb.add_argument("--max-runs", metavar="N", type=int, default=3, help="leave runs started N times (default 3)")
    verb.add_argument("--max-age-days", metavar="DAYS", type=_number, default=6, help="leave older runs (default 6)")
    verb.add_argument("--wait", metavar="SECONDS", type=_number, default=0, help="wait for a server that still starts")
    verb.add_argument("--home", metavar="DIR", help="home folder; it holds the lock")
    add_json(verb)
    verb.set_defaults(verb=resume)


def _number(text: str) -> float:
    """A number of an option: finite and not below zero."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number from 0")
    return value


def resume(arguments: argparse.Namespace) -> int:
    """Install the automation if asked, reschedule what crashed, and say what was done.

    Raises:
        PrefectUnreachableError: no server is named, or it does not answer.
    """
    home = home_folder(arguments.home)
    prepare(home)
    try:
        with locked(home / LOCK_FOLDER):
            record = _with_server(arguments, home / LOCK_FOLDER)
    except RunLockedError:
        record = {"busy": True, "automation": None, "closed": [], "runs": [], "not_told": []}
    if arguments.json:
        print_record(record)
    else:
        say(_text(record))
    return 1 if record["not_told"] else 0


def _with_server(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    from tasks.crashalerts import tell_of_crashes
    from tasks.recovery.deadruns import close_dead_runs
    from tasks.recovery.heartbeats import install
    from tasks.recovery.reconcile import ResumeSettings, reconcile

    settings = ResumeSettings(
        after_seconds=arguments.after, max_runs=arguments.max_runs, max_age_days=arguments.max_age_days
    )
    named_server()
    with get_client(sync_client=True) as client:
        _wait_for(client, arguments.wait)
        try:
            installed = install(client) if arguments.install else None
            closed = close_dead_runs(client, home_folder(arguments.home))
            decisions = reconcile(client, settings)
        except (httpx.HTTPError, PrefectException) as error:
            raise PrefectUnreachableError(
                f"the server at {client.api_url} refuses ({type(error).__name__}: {error})",
                "look into its log, then call `eraflow resume` again: what was rescheduled stays so",
            ) from error
    not_told = tell_of_crashes(decisions, folder)
    runs = [{**asdict(decision), "rescheduled": decision.rescheduled} for decision in decisions]
    return {"busy": False, "automation": installed, "closed": closed, "runs": runs, "not_told": not_told}


def named_server() -> str:
    """The API address of the server that the environment or the Prefect profile names.

    Raises:
        PrefectUnreachableError: none is named.
    """
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        raise PrefectUnreachableError(
            "no Prefect server is named: runs from the terminal have none that outlives them",
            "start the one of this home (eraflow server), or set PREFECT_API_URL to that of your deployments; a run "
            "from the terminal goes on with `eraflow run --resume`",
        )
    return str(url)


def _wait_for(client: SyncPrefectClient, seconds: float) -> None:
    """Until the server answers: after a boot it starts beside the worker."""
    deadline = time.monotonic() + seconds
    while (error := client.api_healthcheck()) is not None:
        if time.monotonic() >= deadline:
            raise PrefectUnreachableError(
                f"the server at {client.api_url} does not answer ({type(error).__name__})",
                "start it (eraflow server), or correct PREFECT_API_URL",
            )
        time.sleep(POLL_SECONDS)


def _text(record: dict[str, Any]) -> str:
    if record["busy"]:
        return "another eraflow resume is at work"
    lines = [] if record["automation"] is None else [f"heartbeat automation: {record['automation']}"]
    lines += [f"closed, nobody works for it any more: {name}" for name in record["closed"]]
    for run in record["runs"]:
        done = "rescheduled" if run["rescheduled"] else f"left: {run['why']}"
        lines.append(f"{run['deployment']}: {run['name']} ({run['flow_run_id']}) {done}")
    lines += [] if record["runs"] else ["no crashed run"]
    return "\n".join([*lines, *(f"not told: {error}" for error in record["not_told"])])
