"""Which run `--resume` goes on with."""

from __future__ import annotations

import sys
from pathlib import Path

from eraflow.errors import SettingsError
from eraflow.settings import RunSettings
from eraflow.store.rundir import new_run_dir
from eraflow.store.unfinished import SETTINGS, newest_unfinished, unfinished_runs, what_decides


def resumed(flow_name: str, settings: RunSettings, run_dir: str | None, *, may_take_over: bool) -> RunSettings:
    """The settings of the run to go on with; of a new one where there is nothing to resume.

    Args:
        flow_name: `weekly` or `daily`.
        settings: what the command line asks for.
        run_dir: the folder that the command line names, or None: the newest unfinished run of these settings.
        may_take_over: the command line asks for nothing in particular, so the settings stored in `run_dir` are taken.

    Raises:
        SettingsError: the run in `run_dir` was begun with other settings.
    """
    if run_dir is not None:
        return _in_named(settings, Path(run_dir).expanduser().resolve(), may_take_over)
    found = newest_unfinished(settings.home_path, flow_name, settings.model_dump(mode="json"))
    if found is not None:
        _say(f"going on with the unfinished run in {found}")
        return in_folder(settings, found)
    other = next(unfinished_runs(settings.home_path, flow_name), None)
    hint = f"; one of other settings lies in {other}: --resume --run-dir {other} goes on with it" if other else ""
    _say(f"no unfinished run of these settings, a new one is started{hint}")
    return in_folder(settings, new_run_dir(settings.home_path, flow_name))


def in_folder(settings: RunSettings, run_dir: Path | str) -> RunSettings:
    """The same settings with the run's folder fixed."""
    return settings.model_copy(update={"run_dir": str(Path(run_dir).expanduser().resolve())})


def _in_named(settings: RunSettings, run_dir: Path, may_take_over: bool) -> RunSettings:
    stored = _stored(run_dir)
    if stored is None:
        _say(f"there is nothing to resume in {run_dir}, a new run is started there")
        return in_folder(settings, run_dir)
    if may_take_over:
        _say(f"going on in {run_dir} with the settings stored there")
        return in_folder(stored, run_dir)
    mine, theirs = (what_decides(one.model_dump(mode="json")) for one in (settings, stored))
    differing = sorted(name for name in mine if mine[name] != theirs.get(name))
    if differing:
        raise SettingsError(
            f"the run in {run_dir} was begun with other settings ({', '.join(differing)})",
            "leave the settings out to go on with those stored there, or choose another --run-dir",
        )
    return in_folder(settings, run_dir)


def _stored(run_dir: Path) -> RunSettings | None:
    path = run_dir / SETTINGS
    if not path.exists():
        return None
    try:
        return RunSettings.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} cannot be read: {str(error).splitlines()[0]}", "name the settings of the run without --resume"
        ) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
