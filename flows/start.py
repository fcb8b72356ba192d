"""Start a flow from the terminal, and tell what came of it."""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from eraflow.errors import EraflowError, SettingsError
from eraflow.settings import RunSettings
from eraflow.settings.override import settings_from
from eraflow.store.atomic import write_text
from eraflow.store.conclusion import conclusion
from eraflow.store.rundir import locked, new_run_dir
from eraflow.store.weekrecord import error_values, week_record
from flows.cli import print_record
from flows.entry import EXIT_INTERRUPTED
from flows.environment import prepare
from flows.resumption import in_folder, resumed
from flows.runserver import PrefectUnreachableError, run_server
from models.libraries import present_members

DEFAULT_PROFILE = "laptop"
PING_VARIABLE = "ERAFLOW_PING_URL"  # of tasks/ping.py
EXIT_HELD = 3
EXIT_TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken as Ctrl-C is: children end at once, the folder says how far it came, and the run can go on."""


def _week_in_words(record: dict[str, Any], settings: RunSettings, server: str) -> str:
    from flows.summary import summary

    return summary(record, settings, server)


@dataclass(frozen=True)
class Telling:
    """What a verb says of its flow's run.

    Attributes:
        record: everything that the run's folder tells.
        in_words: the record, the settings and the address of the user's own Prefect server, as text for people.
        when_interrupted: how the run goes on after Ctrl-C; may hold {run_dir}.
    """

    record: Callable[[Path], dict[str, Any]]
    in_words: Callable[[dict[str, Any], RunSettings, str], str]
    when_interrupted: str


WEEK = Telling(week_record, _week_in_words, "the same command with --resume goes on in {run_dir}")


def start(flow_name: str, arguments: argparse.Namespace, telling: Telling = WEEK) -> int:
    """Run a flow in this process and tell what came of it; returns the exit code."""
    settings = chosen_settings(flow_name, arguments)
    run_dir = Path(str(settings.run_dir))
    server = prepare(settings.home_path)
    _check_early(flow_name, settings, run_dir)
    print(f"run folder {run_dir}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        _serve(server)
        error = _run_flow(flow_name, settings)
        if error is not None and not isinstance(error, EraflowError | KeyboardInterrupt):
            error = _unless_concluded(run_dir, error)
    except KeyboardInterrupt as interruption:
        print(f"eraflow: interrupted; {telling.when_interrupted.format(run_dir=run_dir)}", file=sys.stderr)
        if arguments.json:
            print_record(telling.record(run_dir))
        return EXIT_TERMINATED if isinstance(interruption, Terminated) else EXIT_INTERRUPTED
    record = _record(run_dir, error, telling)
    if isinstance(error, EraflowError):
        print(f"eraflow: {error}", file=sys.stderr)
    if arguments.json:
        print_record(record)
    else:
        print(telling.in_words(record, settings, server))
    return _exit_code(record, error)


def _check_early(flow_name: str, settings: RunSettings, run_dir: Path) -> None:
    """What can be known before anything is started: the folders are there, and nobody works in the run's.

    Raises:
        SettingsError, MissingLibraryError, StorageError, RunLockedError: as the run itself would, some seconds later.
    """
    data = settings.source.data_dir
    if data is not None and not Path(data).is_dir():
        raise SettingsError(f"--data: there is no folder {data}", "name a folder in tournament layout")
    if flow_name != "daily":  # there the champion predicts, and nothing is trained
        present_members(settings)
    with locked(run_dir):
        write_text(run_dir / ".writable", "")
        (run_dir / ".writable").unlink()


def _terminated(number: int, frame: object) -> NoReturn:
    """The handler of SIGTERM."""
    raise Terminated


def _serve(server: str) -> None:
    """Unless the user named a server: start one that shows this run and lives as long as this process.

    It is ended last of all at exit (handlers run in the opposite order of their registration, and Prefect is imported
    later): until then Prefect's own threads send it the last lines of the log, and would wait a minute for a dead one.
    """
    if server:
        return
    stack = ExitStack()
    atexit.register(stack.close)
    address = stack.enter_context(run_server(Path(os.environ["PREFECT_HOME"]), _say))
    os.environ["PREFECT_API_URL"] = f"{address}/api"
    print(f"watch it meanwhile at {address}", file=sys.stderr, flush=True)


def _say(text: str) -> None:
    print(f"eraflow: {text}", file=sys.stderr, flush=True)


def chosen_settings(flow_name: str, arguments: argparse.Namespace) -> RunSettings:
    """The settings that the command line asks for, with the run's folder fixed: a new one, or one to go on in.

    Raises:
        SettingsError: an unknown key or a value outside its range, or other settings than those of the run to resume.
    """
    given: dict[str, Any] = {}
    if arguments.data:
        given["source"] = {"kind": "sandbox", "data_dir": str(Path(arguments.data).expanduser().resolve())}
    if arguments.target:
        given["data"] = {"target": arguments.target}
    if arguments.home:
        given["home"] = arguments.home
    if arguments.dry_run:
        given["submit"] = {"dry_run": True}
    arguments.set = without_ping_address(arguments.set)
    settings = settings_from(arguments.profile or DEFAULT_PROFILE, given, arguments.set).at_home()
    chosen = arguments.run_dir or settings.run_dir
    if arguments.resume:
        nothing_asked = not (arguments.profile or arguments.set or given.keys() - {"home"})
        return resumed(flow_name, settings, chosen, may_take_over=nothing_asked)
    return in_folder(settings, chosen or new_run_dir(settings.home_path, flow_name))


def without_ping_address(assignments: Sequence[str]) -> list[str]:
    """The assignments without `alert.ping_url=ADDRESS`: an address goes into the environment, from where it is in no
    settings, no file and no log.
    """
    kept = []
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        if key.strip() == "alert.ping_url" and value.strip().startswith(("http://", "https://")):
            os.environ[PING_VARIABLE] = value.strip()
        else:
            kept.append(assignment)
    return kept


def _run_flow(flow_name: str, settings: RunSettings) -> BaseException | None:
    """The exception that ended the flow, or None. A blocked gate is not an exception here: the record tells it."""
    flow = getattr(import_module(f"flows.{flow_name}"), flow_name)
    import_module("tasks.deadruns").sweep(settings.home_path)
    try:
        state = flow(settings, return_state=True)
    except Exception as error:  # noqa: BLE001 - the flow's own errors come as a state; what is raised is Prefect's
        if conclusion(Path(str(settings.run_dir))) is not None:
            return error
        return PrefectUnreachableError(
            f"Prefect could not run the flow ({type(error).__name__}: {error})",
            "if PREFECT_API_URL is set, start that server or unset it; otherwise look at the lines above",
        )
    if state.is_completed() or state.name == "Held":
        return None
    found = state.result(raise_on_failure=False)
    if state.is_crashed() and not isinstance(found, Exception):
        raise KeyboardInterrupt  # Prefect made a state of it
    return found if isinstance(found, BaseException) else RuntimeError(state.message or state.name)


def _unless_concluded(run_dir: Path, error: BaseException) -> BaseException | None:
    """None where the run had come to its end before Prefect failed: then only what Prefect shows of it is wrong.

    `in_folder` lets nobody into a folder that has ended, so it was this run that ended there.
    """
    ended = conclusion(run_dir)
    if ended is None:
        return error
    told = (str(error).splitlines() or [""])[0][:200]
    _say(
        f"the run has ended as {ended}; only Prefect could not be told so ({type(error).__name__}: {told}), and shows "
        "it as unfinished"
    )
    return None


def _record(run_dir: Path, error: BaseException | None, telling: Telling) -> dict[str, Any]:
    """What the folder tells, unless the folder was never ours: then another process may be writing its own there."""
    if error is None:
        return telling.record(run_dir)
    if not isinstance(error, EraflowError):
        traceback.print_exception(error, file=sys.stderr)
    record = telling.record(run_dir)
    if record["error"] == error_values(error):
        return record
    return {"run_dir": str(run_dir), "outcome": "failed", "error": error_values(error)}


def _exit_code(record: dict[str, Any], error: BaseException | None) -> int:
    if error is not None:
        return error.exit_code if isinstance(error, EraflowError) else 1
    return EXIT_HELD if record["outcome"] == "held" else 0
