"""`eraflow server`: the Prefect server of this home, and MLflow beside it, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from eraflow.disk.home import VARIABLE, home_folder, home_option, make_home
from eraflow.errors import EraflowError
from eraflow.machine.credentials import PREFECT, TRACKING, without_credentials
from eraflow.machine.loopback import EXCEPTIONS, go_direct
from flows.command.prefectserver.environment import QUIET, database_of, give_a_user_folder
from flows.command.prefectserver.mlflowserver import MLFLOW_PORT, PREFECT_PORT, mlflow_command, mlflow_page
from flows.command.prefectserver.runningserver import noted_server, prefect_folder, running_server
from flows.command.prefectserver.runserver import HOST, WatchedServer
from flows.command.terminal.interrupts import heed_ctrl_c
from flows.command.terminal.outputs import complain, say

END_SECONDS = 5.0


class PortTakenError(EraflowError):
    """Another program listens on the port. Choose another one, or end that program."""

    code = "port_taken"


class ServerRunningError(EraflowError):
    """The server of this home runs already. Use it, or end it first."""

    code = "server_running"


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "server",
        help="the Prefect server of this home, and MLflow beside it: one history for runs, schedules and workers",
        description="Run the Prefect server of this home, with the schedules of its deployments, until Ctrl-C. Runs "
        "from the terminal, `eraflow doctor` and `eraflow resume` find it by themselves; `prefect` commands in another "
        'terminal do after eval "$(eraflow server --print-env)".',
    )
    verb.add_argument("--home", metavar="DIR", help="home folder; its history is served")
    verb.add_argument("--port", type=_port, default=PREFECT_PORT, help=f"on 127.0.0.1 (default {PREFECT_PORT})")
    verb.add_argument("--mlflow", action="store_true", help="MLflow on the models of this home, too")
    verb.add_argument("--mlflow-port", type=_port, default=MLFLOW_PORT, help=f"default {MLFLOW_PORT}")
    verb.add_argument(
        "--print-env", action="store_true", help="print what a shell must export to use this server, and start nothing"
    )
    verb.set_defaults(verb=server)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no port from 1 to 65535")
    return int(text)


def server(arguments: argparse.Namespace) -> int:
    """Serve in the foreground until Ctrl-C or SIGTERM; returns 0 then, and 1 where a server could not be kept alive.

    Raises:
        ServerRunningError, PortTakenError, PrefectUnreachableError, StorageError: it cannot be served, and why.
    """
    home = home_folder(arguments.home)
    folder = prefect_folder(home)
    if arguments.print_env:
        print("\n".join(shell_lines(home, folder, arguments)))
        return 0
    prepare_to_serve(home)
    if (running := running_server(folder)) is not None:
        raise ServerRunningError(f"the server of this home runs already, at {running}", "use it, or end it first")
    complain(f"starting the Prefect server of {home}")
    ended = threading.Event()
    failed: list[str] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as stack:
            url = stack.enter_context(prefect_server(folder, arguments.port, ended, failed))
            told = [f"Prefect   {url}   history {folder}"]
            if arguments.mlflow:
                address = stack.enter_context(mlflow_server(home, arguments.mlflow_port, ended, failed))
                told += [f"MLflow    {address}"]
            stack.enter_context(noted_server(folder, url))
            say("\n".join([*told, *_hints(home)]))
            start_closing_dead_runs(home, folder, url)
            heed_ctrl_c()
            ended.wait()
    except BlockingIOError as error:
        raise ServerRunningError("another `eraflow server` of this home is starting", "use that one") from error
    except KeyboardInterrupt:
        return 0
    complain(failed[0] if failed else "ended")
    return 1


def prepare_to_serve(home: Path) -> None:
    """The environment of the servers: quiet, of this home, whatever server the caller's own environment names."""
    give_a_user_folder(home)
    make_home(home)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.pop("PREFECT_API_URL", None)
    for name, value in database_of(prefect_folder(home)).items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_server(folder: Path, port: int, ended: threading.Event, failed: list[str]) -> Iterator[str]:
    """The Prefect server on the history in `folder` while the block runs; gives its address."""

    def lost(why: str) -> None:
        failed.append(f"the Prefect server cannot be kept alive: {why}")
        ended.set()

    with _listener(port, "--port") as listener:
        watched = WatchedServer(folder, listener, complain, lost, {})
        try:
            watched.start()
            yield f"http://{HOST}:{port}"
        finally:
            watched.end()


@contextmanager
def mlflow_server(home: Path, port: int, ended: threading.Event, failed: list[str]) -> Iterator[str]:
    """MLflow on the models of the home while the block runs; gives its address."""
    _listener(port, "--mlflow-port").close()
    environment = without_credentials(os.environ, TRACKING)
    child = subprocess.Popen(mlflow_command(home, port), env=environment, start_new_session=True)

    def watch() -> None:
        code = child.wait()
        if not ended.is_set():
            failed.append(f"MLflow ended (exit code {code})")
            ended.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield mlflow_page(home, f"http://{HOST}:{port}")
    finally:
        ended.set()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with suppress(subprocess.TimeoutExpired):
                child.wait(END_SECONDS)


def start_closing_dead_runs(home: Path, folder: Path, url: str) -> threading.Thread:
    """Close in the background what killed runs have left as running; whatever comes of it costs the server nothing."""
    named = {"PREFECT_API_URL": f"{url}/api", "PREFECT_HOME": str(folder)}
    environment = {**without_credentials(os.environ, PREFECT), **named}
    command = [sys.executable, "-m", "tasks.recovery.deadruns", str(home)]

    def run() -> None:
        subprocess.run(
            command,
            cwd=Path(__file__).resolve().parents[3],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def shell_lines(home: Path, folder: Path, arguments: argparse.Namespace) -> list[str]:
    """Lines for a POSIX shell: what it starts then works with the history of this home, and asks no proxy for it."""
    url = running_server(folder) or f"http://{HOST}:{arguments.port}"
    values = {
        VARIABLE: str(home),
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": f"{url}/api",
        "DO_NOT_TRACK": "1",
        **database_of(folder),
    }
    environment = {**os.environ, **values}
    go_direct(environment)
    values.update({name: environment[name] for name in EXCEPTIONS if name in environment})
    put_aside = [one.variable for one in getattr(arguments, "put_aside", [])]
    return [
        *(f"unset {name}" for name in put_aside),
        *(f"export {name}={shlex.quote(value)}" for name, value in values.items()),
    ]


def _hints(home: Path) -> list[str]:
    option = home_option(home)
    return [
        "In another terminal, before `prefect` commands:",
        f'  eval "$(eraflow server --print-env{option})"',
        "Ctrl-C ends it.",
    ]


def _listener(port: int, option: str) -> socket.socket:
    """A socket on the loopback.

    Raises:
        PortTakenError: another program listens there, or this user may not.
    """
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        raise PortTakenError(
            f"cannot listen on {HOST}:{port} ({os.strerror(error.errno) if error.errno else error})",
            "end the program that listens there (perhaps a Prefect server of another history), or choose another port "
            f"with {option}",
        ) from error


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
