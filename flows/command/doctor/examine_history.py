"""What `eraflow doctor` looks at around the home: its Prefect history, a second one nearby, its rights, the proxies."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import eraflow
from eraflow.disk.home import IN_A_CHECKOUT, HomeError, checkout_around, home_folder, open_to_others, user_folder
from eraflow.machine.loopback import UnusableProxy, proxies_in_use
from flows.command.doctor.examine import Finding, judged
from flows.command.prefectserver.runningserver import prefect_folder, running_server

DATABASE = "prefect.db"
BUSY_SECONDS = 2.0
COUNTS = """
select (select count(*) from deployment where tags like '%"eraflow"%' or entrypoint like 'flows/weekly.py:%'
                                             or entrypoint like 'flows/daily.py:%'),
       (select count(*) from flow_run join flow on flow.id = flow_run.flow_id
                                      where flow.name in ('weekly', 'daily', 'research'))
"""
ONE_HISTORY = (
    'start `eraflow server`, call `prefect` after eval "$(eraflow server --print-env)", deploy again if deployments '
    "are wanted, and move the other one away"
)


@dataclass(frozen=True)
class History:
    """What a Prefect database knows of Eraflow."""

    folder: Path
    deployments: int
    runs: int


def examine_history(home: Path, before: Mapping[str, str]) -> Iterator[Finding]:
    """Which history the commands of this home use, and every other one that knows Eraflow's runs.

    Args:
        home: the home folder.
        before: the environment as the user's shell made it.
    """
    yield history_in_use(home, before)
    for other in other_histories(prefect_folder(home)):
        found = f"{other.folder} holds {other.deployments} deployments and {other.runs} runs of Eraflow"
        yield Finding("second history", "warning", found, ONE_HISTORY)


def history_in_use(home: Path, before: Mapping[str, str]) -> Finding:
    """The server or the folder that the commands of this home speak to."""
    folder, named = prefect_folder(home), before.get("PREFECT_API_URL")
    running = running_server(folder)
    if named and running and not named.startswith(running):
        found = f"PREFECT_API_URL names {named[:200]}, while `eraflow server` of this home is at {running}"
        return Finding("history", "warning", found, "unset PREFECT_API_URL, or end that server: runs would be in both")
    if named:
        return Finding("history", "ok", f"on the server that PREFECT_API_URL names, {named[:200]}")
    place = f"{folder}, {'served at ' + running if running else 'no server runs on it'}"
    elsewhere = folder != home / "prefect"
    remedy = f"PREFECT_HOME names it; unset that to use the one in {home}"
    return judged("history", not elsewhere, place, remedy)


def other_histories(own: Path) -> list[History]:
    """Other Prefect databases in the usual places that know Eraflow, those with most deployments first."""
    folders = dict.fromkeys(path.resolve() for path in _usual_places() if os.path.isfile(path / DATABASE))
    found = [_read(folder) for folder in folders if folder != own.resolve()]
    known = [one for one in found if one is not None and (one.deployments or one.runs)]
    return sorted(known, key=lambda one: (-one.deployments, str(one.folder)))


def _usual_places() -> Iterator[Path]:
    user = user_folder()
    if user is not None:
        yield user / ".prefect"
    for folder in (_here(), checkout_around(Path(eraflow.__file__).resolve().parent)):
        if folder is not None:
            yield folder / IN_A_CHECKOUT / "prefect"
            yield folder / ".prefect"
    try:
        yield home_folder() / "prefect"
    except HomeError:
        return


def _here() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def _read(folder: Path) -> History | None:
    """What the database says; None where it cannot be read, or is no database of Prefect's."""
    address = f"{(folder / DATABASE).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as database:
            deployments, runs = database.execute(COUNTS).fetchone()
    except sqlite3.Error:
        return None
    return History(folder, int(deployments), int(runs))


def examine_proxies(put_aside: Sequence[UnusableProxy]) -> Iterator[Finding]:
    """Which proxies requests to other computers take; the loopback takes none."""
    for one in put_aside:
        yield Finding("proxy", "warning", str(one), f"correct or unset {one.variable}")
    used = proxies_in_use(os.environ)
    if used:
        yield Finding("proxy", "ok", f"{', '.join(used)} for other computers; never for this one")
    elif not put_aside:
        yield Finding("proxy", "ok", "none is named")


def examine_rights(home: Path) -> Finding:
    """Whether others may look into the home folder."""
    found = f"{home} is open to other users" if open_to_others(home) else "for its owner alone"
    return judged("home's rights", not open_to_others(home), found, f"chmod -R go-rwx {shlex.quote(str(home))}")
