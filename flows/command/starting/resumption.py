"""Which run a command works in: a new one, an unfinished one, or a new one that takes over another's stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eraflow.runs.continuation import continuing
from eraflow.runs.rundir import new_run_dir
from eraflow.runs.unfinished import newest_unfinished, unfinished_runs
from eraflow.settings.run import RunSettings
from flows.command.terminal.outputs import tell


@dataclass(frozen=True)
class Chosen:
    """What a command works with.

    Attributes:
        settings: with the run's folder fixed.
        taken_from: the run whose finished stages a new one takes over, or None.
    """

    settings: RunSettings
    taken_from: Path | None = None


def in_named(
    flow_name: str, settings: RunSettings, run_dir: Path, stored: RunSettings | None, *, resume: bool
) -> Chosen:
    """The run in the folder that the command names.

    Raises:
        RunConcludedError, OtherRunError: it may not be gone on with in this way.
    """
    if stored is None:
        if resume:
            tell(f"there is nothing to resume in {run_dir}, a new run is started there")
        return Chosen(in_folder(settings, run_dir))
    place, taken_from = continuing(flow_name, run_dir, settings, stored, resume=resume)
    if taken_from is None:
        tell(f"going on in {run_dir} with the settings stored there")
    else:
        tell(f"a new run in {place} takes over what {run_dir} finished; that one stays as it is")
    return Chosen(in_folder(settings, place), taken_from)


def resumed(flow_name: str, settings: RunSettings) -> RunSettings:
    """The settings of the newest unfinished run that has the same; of a new one where there is nothing to resume."""
    found = newest_unfinished(settings.home_path, flow_name, settings.model_dump(mode="json"))
    if found is not None:
        tell(f"going on with the unfinished run in {found}")
        return in_folder(settings, found)
    other = next(unfinished_runs(settings.home_path, flow_name), None)
    hint = f"; one of other settings lies in {other}: --resume --run-dir {other} goes on with it" if other else ""
    tell(f"no unfinished run of these settings, a new one is started{hint}")
    return in_folder(settings, new_run_dir(settings.home_path, flow_name))


def in_folder(settings: RunSettings, run_dir: Path | str) -> RunSettings:
    """The same settings with the run's folder fixed."""
    return settings.model_copy(update={"run_dir": str(Path(run_dir).expanduser().resolve())})
