"""Open the Prefect UI or MLflow on what lies in a home folder."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from eraflow.errors import SettingsError
from eraflow.home import home_folder
from eraflow.store.sqliteurl import sqlite_url
from flows.environment import prepare
from flows.runningserver import prefect_folder, running_server

PREFECT_PORT, MLFLOW_PORT = 4200, 5000
END_SECONDS = 5.0


def ui(arguments: argparse.Namespace) -> int:
    """Serve in the foreground until Ctrl-C; returns the server's exit code. A server that runs already is told."""
    home = home_folder(arguments.home)
    if arguments.port is not None and not 0 < arguments.port < 65536:
        raise SettingsError(f"--port is {arguments.port}", "use a port from 1 to 65535")
    if not arguments.mlflow:
        return _prefect(home, arguments.port or PREFECT_PORT)
    prepare(home)
    port = arguments.port or MLFLOW_PORT
    print(f"http://127.0.0.1:{port}   (Ctrl-C ends it)", flush=True)
    return _serve(mlflow_command(home, port))


def _prefect(home: Path, port: int) -> int:
    from flows.server_verb import server

    running = running_server(prefect_folder(home))
    if running is not None:
        print(f"{running}   (eraflow server)", flush=True)
        return 0
    return server(argparse.Namespace(home=str(home), port=port, mlflow=False, print_env=False))


def mlflow_command(home: Path, port: int) -> list[str]:
    """What serves MLflow's pages on the models of a home."""
    store = sqlite_url(home / "mlflow.db")
    return [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--port", str(port)]


def _serve(command: list[str]) -> int:
    """Run a server in a session of its own and end all of it when this process is told to end."""
    signal.signal(signal.SIGTERM, _interrupt)
    child = subprocess.Popen(command, start_new_session=True)
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
