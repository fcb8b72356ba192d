"""Open the Prefect UI or MLflow on what lies in a home folder."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from typing import NoReturn

from eraflow.errors import SettingsError
from eraflow.home import home_folder
from eraflow.store.sqliteurl import sqlite_url
from flows.environment import prepare

PREFECT_PORT, MLFLOW_PORT = 4200, 5000
END_SECONDS = 5.0


def ui(arguments: argparse.Namespace) -> int:
    """Serve in the foreground until Ctrl-C; returns the server's exit code."""
    home = home_folder(arguments.home)
    prepare(home)
    if arguments.port is not None and not 0 < arguments.port < 65536:
        raise SettingsError(f"--port is {arguments.port}", "use a port from 1 to 65535")
    port = arguments.port or (MLFLOW_PORT if arguments.mlflow else PREFECT_PORT)
    url = f"http://127.0.0.1:{port}"
    if arguments.mlflow:
        command = ["mlflow", "ui", "--backend-store-uri", sqlite_url(home / "mlflow.db"), "--port", str(port)]
    else:
        os.environ["PREFECT_SERVER_UI_API_URL"] = f"{url}/api"  # without it the page asks port 4200
        command = ["prefect", "server", "start", "--port", str(port)]
    print(f"{url}   (Ctrl-C ends it)", flush=True)
    return _serve([sys.executable, "-m", *command])


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
