"""`eraflow ui`: the Prefect UI or MLflow on what lies in a home folder."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from pathlib import Path
from typing import Any, NoReturn

from eraflow.disk.home import home_folder
from eraflow.errors import SettingsError
from eraflow.machine.credentials import TRACKING, without_credentials
from flows.command.prefectserver.environment import prepare
from flows.command.prefectserver.mlflowserver import MLFLOW_PORT, PREFECT_PORT, mlflow_command, mlflow_page
from flows.command.prefectserver.runningserver import prefect_folder, running_server
from flows.command.terminal.interrupts import heed_ctrl_c
from flows.command.terminal.outputs import say
from flows.command.verbs.server import server

END_SECONDS = 5.0
START_SECONDS = 60.0


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser("ui", help="open the Prefect UI (or MLflow) on the runs of this home")
    verb.add_argument("--home", metavar="DIR", help="home folder")
    verb.add_argument("--mlflow", action="store_true", help="MLflow instead of Prefect")
    verb.add_argument("--port", type=int, help="port on 127.0.0.1 (default 4200, MLflow 5000)")
    verb.set_defaults(verb=ui)


def ui(arguments: argparse.Namespace) -> int:
    """Serve in the foreground until Ctrl-C; returns the server's exit code. A server that runs already is told."""
    home = home_folder(arguments.home)
    if arguments.port is not None and not 0 < arguments.port < 65536:
        raise SettingsError(f"--port is {arguments.port}", "use a port from 1 to 65535")
    if not arguments.mlflow:
        return _prefect(home, arguments.port or PREFECT_PORT)
    prepare(home)
    port = arguments.port or MLFLOW_PORT
    address = mlflow_page(home, f"http://127.0.0.1:{port}")
    say(f"MLflow    {address}")
    say("Ctrl-C ends it.")
    threading.Thread(target=_open_page, args=(address, port), daemon=True).start()
    return _serve(mlflow_command(home, port))


def _open_page(address: str, port: int) -> None:
    """Show the page in the user's browser once it is served; nothing where there is no screen or no terminal."""
    has_screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not (has_screen and sys.stdout.isatty()):
        return
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            webbrowser.open(address)
            return
        time.sleep(0.5)


def _prefect(home: Path, port: int) -> int:
    running = running_server(prefect_folder(home))
    if running is not None:
        say(f"Prefect   {running}   (eraflow server)")
        return 0
    return server(argparse.Namespace(home=str(home), port=port, mlflow=False, print_env=False))


def _serve(command: list[str]) -> int:
    """Run a server in a session of its own and end all of it when this process is told to end."""
    signal.signal(signal.SIGTERM, _interrupt)
    child = subprocess.Popen(command, env=without_credentials(os.environ, TRACKING), start_new_session=True)
    heed_ctrl_c()
    try:
        return child.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(END_SECONDS)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
