"""Going on with a run: only an unfinished one, by the verb that began it, under its own settings.

Other settings begin a new run beside it, which takes over every finished stage; what does not depend on the changed
settings is then kept, for a stage's signature says what it was made from. The run it came from stays as it is.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from eraflow.disk.atomic import storage_errors
from eraflow.disk.ownership import LOCK, check_run_dir
from eraflow.errors import SettingsError
from eraflow.runs.conclusion import check_outside_of_concluded, check_unfinished, conclusion
from eraflow.runs.rundir import locked
from eraflow.runs.stage import BEGUN, MANIFEST, NOT_CONTENT
from eraflow.runs.unfinished import SETTINGS, begun_by, what_decides
from eraflow.settings.override import settings_error
from eraflow.settings.run import RunSettings

VERBS = {"weekly": "run", "daily": "daily", "research": "search"}
"""Flow -> the verb of the command that starts it."""
LAID_OUT_ANEW = frozenset({"features"})
"""Stages that keep no parts: an unfinished one is not worth copying."""


class OtherRunError(SettingsError):
    """The folder holds an unfinished run of other settings or of another verb, and is not continued under these."""

    code = "other_run"


def stored_settings(run_dir: Path) -> RunSettings | None:
    """The settings that the run in this folder was begun with, or None where none was begun.

    Raises:
        SettingsError: they cannot be read.
    """
    path = run_dir / SETTINGS
    if not path.exists():
        return None
    remedy = "choose another --run-dir"
    try:
        return RunSettings.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise SettingsError(f"{path} cannot be read: {settings_error(error).problem}", remedy) from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {str(error).splitlines()[0]}", remedy) from error


def differing(settings: RunSettings, stored: RunSettings) -> list[str]:
    """The groups of settings in which a run would not be the same."""
    mine, theirs = (what_decides(one.model_dump(mode="json")) for one in (settings, stored))
    return sorted(name for name in mine if mine[name] != theirs.get(name))


def check_may_work_in(run_dir: Path, flow: str, settings: RunSettings) -> None:
    """Whether a run of this flow and these settings may begin or go on in a folder. Nothing is touched.

    Raises:
        ForeignFolderError: the folder is not ours.
        RunConcludedError: a run has ended in it, or it lies within the folder of such a run.
        OtherRunError: an unfinished run of another verb or of other settings lies in it.
        SettingsError: the settings stored in it cannot be read.
    """
    check_run_dir(run_dir)
    check_unfinished(run_dir)
    check_outside_of_concluded(run_dir)
    check_verb(run_dir, flow)
    stored = stored_settings(run_dir)
    others = differing(settings, stored) if stored is not None else []
    if others:
        raise OtherRunError(
            f"the run in {run_dir} was begun with other settings ({', '.join(others)})",
            "leave them out to go on with those stored there, choose another --run-dir, or add --resume: a new run "
            "beside it then takes over what was finished",
        )


def check_verb(run_dir: Path, flow: str) -> None:
    """Raise OtherRunError where another verb's run lies in the folder."""
    other = begun_by(run_dir)
    if other is not None and other != flow:
        raise OtherRunError(
            f"the run in {run_dir} was begun by `eraflow {VERBS.get(other, other)}`", "choose another --run-dir"
        )


def beside(run_dir: Path) -> Path:
    """A name for a new run beside another: `RUN-2`, `RUN-3`. Nothing is created."""
    number = 2
    while (path := run_dir.with_name(f"{run_dir.name}-{number}")).exists():
        number += 1
    return path


def take_over(run_dir: Path, into: Path) -> list[str]:
    """Give the folder `into` the stages of another run: finished ones as hard links, parts of others as copies.

    What is linked is never written in place: files appear by a rename. Returns the names of the finished stages.

    Raises:
        RunLockedError: somebody works in `run_dir`.
        StorageError: `into` cannot be written.
    """
    with ExitStack() as held, storage_errors(into):
        if conclusion(run_dir) is None and (run_dir / LOCK).exists():
            held.enter_context(locked(run_dir))
        finished = []
        for folder in sorted(path for path in run_dir.iterdir() if path.is_dir() and not path.is_symlink()):
            if (folder / MANIFEST).is_file():
                _copy(folder, into / folder.name, link=True)
                finished.append(folder.name)
            elif (folder / BEGUN).is_file() and folder.name not in LAID_OUT_ANEW:
                _copy(folder, into / folder.name, link=False)
    return finished


def _copy(folder: Path, into: Path, *, link: bool) -> None:
    """The manifest comes last, for it vouches for all else."""
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.rglob("*"), key=lambda path: path == folder / MANIFEST):
        target = into / path.relative_to(folder)
        if path.is_dir() and not path.is_symlink():
            target.mkdir(exist_ok=True)
        elif link and path.name not in NOT_CONTENT and not path.is_symlink():
            _link(path, target)
        else:
            shutil.copy2(path, target, follow_symlinks=False)


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(path, target)


def continuing(
    flow: str, run_dir: Path, settings: RunSettings, stored: RunSettings, *, resume: bool
) -> tuple[Path, Path | None]:
    """Where a run that names this folder works, and the run whose stages it takes over, if it does.

    Raises:
        RunConcludedError, OtherRunError: neither going on nor taking over is what was asked for.
    """
    check_verb(run_dir, flow)
    if resume and differing(settings, stored):
        check_outside_of_concluded(run_dir.parent)
        return beside(run_dir), run_dir
    check_may_work_in(run_dir, flow, settings)
    return run_dir, None
