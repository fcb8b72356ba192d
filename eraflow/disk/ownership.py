"""Whether a folder that somebody names is ours to work in. Nothing is touched before that is known.

A run's folder is new, empty, or holds `run.json`, the first thing that a run writes. A home folder is new, empty, or
holds `.eraflow-home`; one whose mark was lost is known by what only Eraflow lays there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from eraflow.disk.atomic import storage_errors, write_text
from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.foreigntext import cut

RUN_FILE = "run.json"
HOME_MARK = ".eraflow-home"
LOCK = ".lock"
# What a run that was killed at its very beginning leaves, and what file systems and desktops put into empty folders.
NOTHING = re.compile(
    r"\.lock|\.writable|\.\.writable\.[0-9a-f]{8}\.tmp|\.run\.json\.[0-9a-f]{8}\.tmp|\.\.eraflow-home\.[0-9a-f]{8}\.tmp"
    r"|lost\+found|\.DS_Store|desktop\.ini|Thumbs\.db"
)
OURS_IN_A_HOME = (
    "runs",
    "contests",
    "data",
    "cache",
    "search",
    "sandbox",
    "uploads",
    "reproductions",
    "mlartifacts",
    "mlflow.db",
)
SHOWN = 3


class ForeignFolderError(EraflowError):
    """A folder holds what Eraflow did not put there, and nothing in it is touched. Name an empty or a new one."""

    code = "foreign_folder"
    exit_code = 2


def check_run_dir(run_dir: Path) -> None:
    """Whether a run may work in this folder: a new one, an empty one, or that of a run.

    Raises:
        ForeignFolderError: it holds something else.
        StorageError: it cannot be looked into.
    """
    held = _held(run_dir)
    if held and not is_run_dir(run_dir):
        raise ForeignFolderError(
            f"--run-dir: {run_dir} is not the folder of a run; it holds {_in_short(held)}",
            "name a new or an empty folder, or that of a run",
        )


def is_run_dir(run_dir: Path) -> bool:
    """Whether a run of Eraflow was begun in this folder."""
    noted = read_object(run_dir / RUN_FILE)
    return noted is not None and isinstance(noted.get("flow"), str) and isinstance(noted.get("flow_runs"), list)


def check_home(home: Path) -> None:
    """Whether Eraflow may make its home in this folder: a new one, an empty one, or one that is its home already.

    Raises:
        ForeignFolderError: it holds something else.
        StorageError: it cannot be looked into.
    """
    held = _held(home)
    if held and not is_home_dir(home):
        raise ForeignFolderError(
            f"{home} is no home folder of Eraflow; it holds {_in_short(held)}",
            "name a new or an empty folder with --home (or in ERAFLOW_HOME), or a folder in this one",
        )


def check_home_places(home: Path) -> None:
    """The same for a program that chose the folder: what lies beside our own places in it does not matter.

    Raises:
        ForeignFolderError: one of our places in it is somebody else's.
    """
    taken = [name for name in _held(home) if name in OURS_IN_A_HOME]
    if taken and not is_home_dir(home):
        raise ForeignFolderError(
            f"{home} is no home folder of Eraflow, and its {_in_short(taken)} is where Eraflow would keep its own",
            "name a new or an empty folder as home",
        )


def is_home_dir(home: Path) -> bool:
    """Whether this folder is a home of Eraflow."""
    if (home / HOME_MARK).is_file() or (home / "prefect" / "prefect.db").is_file():
        return True
    runs = home / "runs"
    return any(runs.glob("*.elsewhere")) or any(is_run_dir(path.parent) for path in runs.glob(f"*/{RUN_FILE}"))


def mark_home(home: Path) -> None:
    """Say in a home folder that it is one."""
    if not (home / HOME_MARK).is_file():
        write_text(home / HOME_MARK, "This folder is Eraflow's home: it makes and removes files here.\n")


def _held(folder: Path) -> list[str]:
    """Names of what lies in a folder, without what comes to lie in an empty one; none where there is no folder."""
    with storage_errors(folder):
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if not NOTHING.fullmatch(path.name))


def _in_short(names: Iterable[str]) -> str:
    found = [cut(name, 60) for name in names]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more
