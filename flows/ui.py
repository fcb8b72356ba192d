"""Open the Prefect UI or MLflow on what lies in a home folder."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from flows.environment import prepare

PREFECT_PORT, MLFLOW_PORT = 4200, 5000


def ui(arguments: argparse.Namespace) -> int:
    """Serve in the foreground until Ctrl-C; returns the server's exit code."""
    home = Path(arguments.home).expanduser().resolve()
    prepare(home)
    port = arguments.port or (MLFLOW_PORT if arguments.mlflow else PREFECT_PORT)
    url = f"http://127.0.0.1:{port}"
    if arguments.mlflow:
        command = ["mlflow", "ui", "--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}", "--port", str(port)]
    else:
        os.environ["PREFECT_SERVER_UI_API_URL"] = f"{url}/api"  # without it the page asks port 4200
        command = ["prefect", "server", "start", "--port", str(port)]
    print(f"{url}   (Ctrl-C ends it)", flush=True)
    try:
        return subprocess.run([sys.executable, "-m", *command], check=False).returncode
    except KeyboardInterrupt:
        return 0
