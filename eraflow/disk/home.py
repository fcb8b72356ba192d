"""The home folder: where data, runs, MLflow and the Prefect history of one user lie, readable by that user alone.

$ERAFLOW_HOME                      where it is set
CHECKOUT/.eraflow                  while one stands in a source checkout, so that what one develops stays apart
$STATE_DIRECTORY                   as systemd sets it for a unit with StateDirectory=
~/.local/share/eraflow             otherwise; $XDG_DATA_HOME and macOS have their own places for this
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
import sys
import tomllib
from pathlib import Path

from eraflow.disk.atomic import storage_errors
from eraflow.disk.ownership import check_home, check_home_places, mark_home
from eraflow.errors import EraflowError

VARIABLE = "ERAFLOW_HOME"
IN_A_CHECKOUT = ".eraflow"
OWN = ("runs", "prefect", "mlflow.db")  # what Eraflow makes in every home
PRIVATE = 0o700
OTHERS = 0o077
NAME_ONE = f"set {VARIABLE} to a folder that this user can write, or name one with --home"


class HomeError(EraflowError):
    """There is no place for the home folder: no user's folder is known. Name one in ERAFLOW_HOME."""

    code = "home"
    exit_code = 2


def default_home() -> str:
    """The home folder of this user where none is named, absolute; the head of this module tells the order.

    Raises:
        HomeError: nothing is named, and this user has no folder on this computer.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return str(Path(named).expanduser().absolute())
    checkout = checkout_around(_current_folder())
    if checkout is not None:
        return str(checkout / IN_A_CHECKOUT)
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return state or str(_data_folder() / "eraflow")


def home_folder(home: str | None = None) -> Path:
    """The home folder, absolute: the one that is named, or this user's.

    Raises:
        HomeError: none is named, and this user has no folder on this computer; or the name begins with the folder of
            a user who has none.
    """
    named = home or default_home()
    try:
        return Path(named).expanduser().resolve()
    except (RuntimeError, OSError) as error:
        raise HomeError(f"there is no folder {named[:200]} ({error})", NAME_ONE) from error


def home_option(home: Path) -> str:
    """What a command needs beside it to find this home: nothing for the usual one."""
    try:
        usual = home_folder()
    except HomeError:
        usual = None
    return "" if home == usual else f" --home {shlex.quote(str(home))}"


def user_folder() -> Path | None:
    """The folder of the user who runs this process, if there is one: services and containers often have none."""
    for named in (os.environ.get("HOME", ""), _registered_folder()):
        if named.startswith("/") and os.path.isdir(named):  # pathlib's own raises where this user may not look
            return Path(named)
    return None


def checkout_around(folder: Path | None) -> Path | None:
    """The source checkout of Eraflow that `folder` is or lies in."""
    for place in (folder, *folder.parents) if folder is not None else ():
        if os.path.isfile(place / "flows" / "weekly.py") and _is_ours(place / "pyproject.toml"):
            return place
    return None


def make_home(home: Path, *, among_others: bool = False) -> None:
    """Make the folder, for its owner alone; whatever this process writes from now on is for its owner alone, too.

    One that is there is closed to others where it is Eraflow's own and this user's, whatever made it. Any other
    folder keeps its rights, as it may be shared on purpose; `eraflow doctor` tells of it.

    Args:
        home: the folder.
        among_others: whether other things may lie beside Eraflow's own, as where a deployment names the folder.

    Raises:
        ForeignFolderError: it holds what is not Eraflow's; nothing in it was touched.
        StorageError: it cannot be made.
    """
    (check_home_places if among_others else check_home)(home)
    os.umask(OTHERS)
    with storage_errors(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        try:
            home.mkdir(mode=PRIVATE)
        except FileExistsError:
            home.mkdir(exist_ok=True)  # refused where it is a file
            if _usual_name(home) and open_to_others(home) and home.stat().st_uid == os.getuid():
                home.chmod(PRIVATE)
    mark_home(home)


def open_to_others(home: Path) -> bool:
    """Whether anybody but the owner may look into the folder."""
    return os.path.isdir(home) and bool(stat.S_IMODE(home.stat().st_mode) & OTHERS)


def is_home(folder: Path) -> bool:
    """Whether Eraflow has worked in this folder as its home."""
    return any(os.path.exists(folder / name) for name in OWN)


def _usual_name(home: Path) -> bool:
    return home.name in (IN_A_CHECKOUT, "eraflow") and is_home(home)


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed, or lies where this user may not look
        return None


def _is_ours(project: Path) -> bool:
    try:
        name = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name")
    except (OSError, ValueError, AttributeError):  # none, unreadable, or not what such a file looks like
        return False
    return bool(name == "eraflow")


def _data_folder() -> Path:
    """Where programs keep what belongs to a user: by the XDG Base Directory Specification, or as macOS does."""
    named = os.environ.get("XDG_DATA_HOME", "")
    if named.startswith("/"):  # the specification says to ignore relative ones
        return Path(named)
    user = user_folder()
    if user is None:
        told = os.environ.get("HOME")
        why = f"HOME is {told[:200]}, which is no folder" if told else "HOME is not set, and the system knows none"
        raise HomeError(f"there is no place for the home folder: {why}", NAME_ONE)
    return user / ("Library/Application Support" if sys.platform == "darwin" else ".local/share")


def _registered_folder() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # no entry for this user, as in many containers
        return ""
