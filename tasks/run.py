"""The run that a flow works in: its settings and its folder, held by a lock while the flow works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.runtime import flow_run

from eraflow.disk.atomic import remove_leftovers, write_text
from eraflow.disk.home import make_home
from eraflow.disk.ownership import check_home_places, is_run_dir
from eraflow.machine.loopback import go_direct
from eraflow.machine.resources import probe
from eraflow.runs.conclusion import conclusion, ended_record
from eraflow.runs.continuation import beside, check_may_work_in, stored_settings, take_over
from eraflow.runs.identity import note_origin
from eraflow.runs.inuse import in_use
from eraflow.runs.rundir import locked, new_run_dir
from eraflow.runs.unfinished import SETTINGS, earlier_flow_runs, folder_of_flow_run, note_run
from eraflow.runs.weekrecord import forget_last_outcome, note_left_out, write_outcome
from eraflow.settings.run import RunSettings
from models.base.libraries import present_members
from models.training.membersintime import left_out_words, members_in_time
from tasks.clean import clean_after_week
from tasks.endofrun import name_run, show_end
from tasks.plainerrors import show_plain_errors
from tasks.recovery.deadruns import close_earlier

RUNNING = "running"
WEEKLY = "weekly"


@dataclass(frozen=True)
class Run:
    """Settings and folder of one run; small enough to be handed to every task."""

    settings: RunSettings
    path: Path


@contextmanager
def open_run(settings: RunSettings, label: str, *, trains: bool = True) -> Iterator[Run]:
    """Choose the folder, take its lock, and write the settings into it.

    A flow run that Prefect retries goes on in the folder it began in: finished stages are not repeated. Where it was
    held, what it left stays as it is, and the retry takes its stages over into a folder beside. Settings that name
    nothing but an unfinished run's folder mean those stored there.

    Args:
        settings: as given; those of the run are without the optional members whose library is not installed, or whose
            training would not end in time.
        label: of the flow.
        trains: whether the members of the settings are needed at all.

    Raises:
        MissingLibraryError: a member that is wanted needs a library that is not installed.
        ForeignFolderError: the folder, or the home, is not ours; nothing in it was touched.
        RunConcludedError: a run has ended in the folder.
        OtherRunError: an unfinished run of other settings lies in it.
        RunLockedError: when another process works in the folder.
        StorageError: when it cannot be written.
    """
    show_plain_errors()
    for unusable in go_direct():  # under a worker, which knows nothing of it
        get_run_logger().warning("%s", unusable)
    settings = settings.at_home()
    flow_run_id = flow_run.get_id()
    check_home_places(settings.home_path)
    path, taken_from = _folder(settings, label, flow_run_id)
    settings = _meant(settings, path)
    check_may_work_in(path, label, settings)
    make_home(settings.home_path, among_others=True)
    with in_use(settings.home_path), locked(path):
        check_may_work_in(path, label, settings)  # somebody may have ended it meanwhile
        note_run(settings.home_path, path, label, flow_run_id)
        if taken_from is not None:
            take_over(taken_from, path)
        close_earlier(earlier_flow_runs(path), flow_run_id, get_run_logger())
        remove_leftovers(path)
        forget_last_outcome(path)
        note_origin(path)
        _write_settings(settings, path)
        name_run(path, RUNNING)
        try:
            yield Run(_trained(settings, path, label) if trains else settings, path)
        except BaseException as error:
            write_outcome(path, error)
            raise
        finally:
            show_end(path)
    if label == WEEKLY:
        clean_after_week(settings, get_run_logger())


def _trained(settings: RunSettings, path: Path, label: str) -> RunSettings:
    """The settings without the members that cannot be trained here, or not in time; each is told of."""
    log = get_run_logger()
    if label == WEEKLY:
        chosen = members_in_time(settings, probe(path))
        kept, left_out, warnings = chosen.settings, chosen.left_out, chosen.warnings
        if chosen.reckoned:
            log.info("%s", chosen.reckoned)
    else:
        kept, lacking = present_members(settings)
        left_out, warnings = dict(lacking), left_out_words(lacking)
    if left_out:
        note_left_out(path, left_out)
    for words in warnings:
        log.warning("%s", words)
    return kept


def ended_before(settings: RunSettings) -> dict[str, Any] | None:
    """The record of what this very flow run did before it was killed or retried, where nothing is left to be done.

    A held one is not among them: a retry judges it anew.
    """
    begun = _begun(settings, flow_run.get_id())
    if begun is None or conclusion(begun) in (None, "held"):
        return None
    get_run_logger().info("this flow run has ended before, in %s: nothing is done a second time", begun)
    return ended_record(begun)


def _folder(settings: RunSettings, label: str, flow_run_id: str | None) -> tuple[Path, Path | None]:
    """Where this run works, and the folder of the held run whose stages it takes over."""
    begun = _begun(settings, flow_run_id)
    if begun is not None:
        return (begun, None) if conclusion(begun) is None else (beside(begun), begun)
    if settings.run_dir:
        return Path(settings.run_dir).expanduser().resolve(), None
    return new_run_dir(settings.home_path, label), None


def _begun(settings: RunSettings, flow_run_id: str | None) -> Path | None:
    return folder_of_flow_run(settings.home_path, flow_run_id) if flow_run_id else None


def _meant(settings: RunSettings, path: Path) -> RunSettings:
    """The settings stored in the folder where none are named but the folder itself."""
    if settings.model_fields_set <= {"home", "run_dir"} and is_run_dir(path) and conclusion(path) is None:
        stored = stored_settings(path)
        if stored is not None:
            return stored.model_copy(update={"run_dir": str(path)})
    return settings


def _write_settings(settings: RunSettings, path: Path) -> None:
    """Once, and again only where how the run works has changed: what decides its results never does."""
    text = settings.model_dump_json(indent=2) + "\n"
    if not (path / SETTINGS).exists() or (path / SETTINGS).read_text(encoding="utf-8") != text:
        write_text(path / SETTINGS, text)


def conclude(run: Run) -> dict[str, Any]:
    """Write the record of a run that ended as it should, and return it."""
    return write_outcome(run.path)
