"""Start a flow from the terminal, and tell what came of it."""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from rich.console import RenderableType

from eraflow.disk.ownership import check_home, check_run_dir
from eraflow.errors import EraflowError, SettingsError
from eraflow.machine.resources import probe
from eraflow.runs.conclusion import check_outside_of_concluded, conclusion
from eraflow.runs.continuation import check_may_work_in, check_verb, stored_settings, take_over
from eraflow.runs.rundir import locked, new_run_dir
from eraflow.runs.unfinished import note_run
from eraflow.runs.weekrecord import error_values, week_record
from eraflow.settings.override import named_profile, settings_from, settings_on
from eraflow.settings.run import RunSettings
from flows.command.prefectserver.environment import page_of, prepare
from flows.command.prefectserver.runserver import PrefectUnreachableError, run_server
from flows.command.starting.earlycheck import refuse_early
from flows.command.starting.resumption import Chosen, in_folder, in_named, resumed
from flows.command.terminal.interrupts import EXIT_INTERRUPTED
from flows.command.terminal.outputs import complain, print_record, tell
from flows.command.terminal.printing import show
from flows.command.terminal.runlog import run_log
from flows.command.terminal.view import Lines, view_of
from models.base.libraries import present_members

DEFAULT_PROFILE = "laptop"
PING_VARIABLE = "ERAFLOW_PING_URL"  # of tasks/ping.py
EXIT_HELD = 3
EXIT_TERMINATED = 143
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken as Ctrl-C is: children end at once, the folder says how far it came, and the run can go on."""


def _week_in_words(record: dict[str, Any], settings: RunSettings, server: str) -> Sequence[RenderableType]:
    from flows.command.starting.summary import summary

    return summary(record, settings, server)


@dataclass(frozen=True)
class FlowReport:
    """What a verb says of its flow's run.

    Attributes:
        record: everything that the run's folder tells.
        in_words: the record, the settings and the address of the user's own Prefect server as words and tables.
        when_interrupted: how the run goes on after Ctrl-C; may hold {run_dir}.
    """

    record: Callable[[Path], dict[str, Any]]
    in_words: Callable[[dict[str, Any], RunSettings, str], Sequence[RenderableType]]
    when_interrupted: str


WEEK = FlowReport(week_record, _week_in_words, "the same command with --resume goes on in {run_dir}")


def start(flow_name: str, arguments: argparse.Namespace, telling: FlowReport = WEEK) -> int:
    """Run a flow in this process and tell what came of it; returns the exit code."""
    choice = chosen(flow_name, arguments)
    settings = choice.settings
    run_dir = Path(str(settings.run_dir))
    _check_early(flow_name, settings, run_dir)
    server = prepare(settings.home_path)
    refuse_early(flow_name, settings, server)
    _open_folder(flow_name, choice, run_dir)
    go_on = telling.when_interrupted.format(run_dir=run_dir)
    try:
        with view_of(flow_name, settings, run_dir, arguments) as view, _signals(view, go_on):
            _serve(server, view)
            error = _run_flow(flow_name, settings, run_dir, view)
        if error is not None and not isinstance(error, EraflowError | KeyboardInterrupt):
            error = _unless_concluded(run_dir, error)
    except KeyboardInterrupt as interruption:
        complain(f"interrupted; {go_on}")
        if arguments.json:
            print_record(telling.record(run_dir))
        return EXIT_TERMINATED if isinstance(interruption, Terminated) else EXIT_INTERRUPTED
    record = _record(run_dir, error, telling)
    if isinstance(error, EraflowError):
        complain(str(error))
    if arguments.json:
        print_record(record)
    else:
        print()
        show(telling.in_words(record, settings, page_of(server)))
    return _exit_code(record, error)


def _check_early(flow_name: str, settings: RunSettings, run_dir: Path) -> None:
    """What can be refused before anything is touched or started.

    Told is which members are left out, and how long the others will take where that is long.

    Raises:
        SettingsError, MissingLibraryError, NoGpuError, ForeignFolderError, RunConcludedError: as the run itself
            would, some seconds later.
    """
    data = settings.source.data_dir
    if data is not None and not Path(data).is_dir():
        raise SettingsError(f"--data: there is no folder {data}", "name a folder in tournament layout")
    home = settings.home_path
    if run_dir == home or run_dir in home.parents:
        raise SettingsError(
            f"--run-dir: {run_dir} holds the home folder {home}",
            "choose a folder of its own for the run, or leave it out",
        )
    check_home(home)
    check_outside_of_concluded(home)
    check_may_work_in(run_dir, flow_name, settings)
    if flow_name == "weekly":
        from models.training.membersintime import members_in_time  # it reads parquet

        chosen_members = members_in_time(settings, probe(settings.home_path))
        for told in (*chosen_members.warnings, chosen_members.reckoned):
            if told:
                tell(told)
    elif flow_name != "daily":  # there the champion predicts, and nothing is trained
        present_members(settings)


def _open_folder(flow_name: str, choice: Chosen, run_dir: Path) -> None:
    """See that the run's folder can be written and that nobody works in it; a new run takes over stages here.

    Raises:
        StorageError, RunLockedError: as the run itself would, some seconds later.
    """
    with locked(run_dir):
        note_run(choice.settings.home_path, run_dir, flow_name, None)  # whatever comes to lie here now is a run's
        if choice.taken_from is not None:
            finished = take_over(choice.taken_from, run_dir)
            tell(f"taken over: {', '.join(finished) or 'nothing'}")


@contextmanager
def _signals(view: Lines, when_interrupted: str) -> Iterator[None]:
    """SIGTERM and a closed terminal are taken as Ctrl-C is.

    A second Ctrl-C does not wait until everybody has been told of the first.
    """

    def at_once(number: int, frame: object) -> NoReturn:
        view.close()
        os.write(2, f"eraflow: ended at once; {when_interrupted}\n".encode())
        os._exit(EXIT_INTERRUPTED)

    def interrupted(number: int, frame: object) -> NoReturn:
        signal.signal(signal.SIGINT, at_once)
        view.interrupted()
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    # A signal that this process was started to ignore (nohup, a job in the background of a script) stays ignored.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupted) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(server: str, view: Lines) -> None:
    """Unless the user named a server: start one that shows this run and lives as long as this process.

    It is ended last of all at exit (handlers run in the opposite order of their registration, and Prefect is imported
    later): until then Prefect's own threads send it the last lines of the log, and would wait a minute for a dead one.
    """
    if server:
        view.note("watch it meanwhile at", page_of(server))
        return
    view.say("starting the Prefect server of this run; the first time in a home takes ten seconds or more")
    stack = ExitStack()
    atexit.register(stack.close)
    address = stack.enter_context(run_server(Path(os.environ["PREFECT_HOME"]), view.warn))
    os.environ["PREFECT_API_URL"] = f"{address}/api"
    view.note("watch it meanwhile at", address)
    view.say("loading Prefect and the flow")


def chosen(flow_name: str, arguments: argparse.Namespace) -> Chosen:
    """What the command line asks for: a new run, one to go on with, or a new one that takes over another's stages.

    Where the named folder holds a run, its settings count, and what the command line names changes them.

    Raises:
        SettingsError: an unknown key or a value outside its range, or other settings than those of the run to go on
            with.
        ForeignFolderError: the folder of the run is not ours.
        RunConcludedError: the run in the named folder has ended.
    """
    given = _given(arguments)
    arguments.set = without_ping_address(arguments.set)
    settings = settings_from(arguments.profile or DEFAULT_PROFILE, given, arguments.set).at_home()
    named = arguments.run_dir or settings.run_dir
    if named is None:
        if arguments.resume:
            return Chosen(resumed(flow_name, settings))
        return Chosen(in_folder(settings, new_run_dir(settings.home_path, flow_name)))
    run_dir = Path(named).expanduser().resolve()
    check_run_dir(run_dir)
    check_verb(run_dir, flow_name)
    stored = stored_settings(run_dir)
    if stored is not None and arguments.profile in (None, stored.profile) and not named_profile(arguments.set):
        settings = settings_on(stored, given, arguments.set).at_home()
    return in_named(flow_name, settings, run_dir, stored, resume=arguments.resume)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that are settings."""
    given: dict[str, Any] = {}
    if arguments.data:
        given["source"] = {"kind": "sandbox", "data_dir": str(Path(arguments.data).expanduser().resolve())}
    if arguments.target:
        given["data"] = {"target": arguments.target}
    if arguments.home:
        given["home"] = arguments.home
    if arguments.dry_run:
        given["submit"] = {"dry_run": True}
    return given


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


def _run_flow(flow_name: str, settings: RunSettings, run_dir: Path, view: Lines) -> BaseException | None:
    """The exception that ended the flow, or None. A blocked gate is not an exception here: the record tells it."""
    flow = getattr(import_module(f"flows.{flow_name}"), flow_name)
    import_module("tasks.recovery.deadruns").sweep(settings.home_path)
    try:
        with run_log(run_dir, view.show):
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
    complain(
        f"the run has ended as {ended}; only Prefect could not be told so ({type(error).__name__}: {told}), and shows "
        "it as unfinished"
    )
    return None


def _record(run_dir: Path, error: BaseException | None, telling: FlowReport) -> dict[str, Any]:
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
