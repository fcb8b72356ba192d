"""The Prefect server that a run brings with it: it shows the run while it lasts, and ends with it, however it ends.

Prefect starts such a server by itself, but that one goes on for ever when the run is killed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from eraflow.errors import EraflowError
from eraflow.store.atomic import storage_errors

LOG = "server.log"
HOST = "127.0.0.1"
END_SECONDS = 5.0
# Deployments are the business of the server that schedules them, not of the one that shows a single run.
ENVIRONMENT = {
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
}


class PrefectUnreachableError(EraflowError):
    """Prefect could not start the flow: its server does not answer, or the one that a run starts for itself died."""

    code = "prefect_unreachable"


@contextmanager
def run_server(prefect_home: Path, start_seconds: float = 180.0) -> Iterator[str]:
    """A Prefect server on the database in `prefect_home` while the block runs; gives its address.

    The first start makes the database, which takes ten seconds or more on a busy computer.

    Raises:
        PrefectUnreachableError: it did not start; with the end of its log.
        StorageError: the folder cannot be written.
    """
    with storage_errors(prefect_home):
        prefect_home.mkdir(parents=True, exist_ok=True)
        log = (prefect_home / LOG).open("wb")
    environment = {**os.environ, **ENVIRONMENT, "PREFECT_HOME": str(prefect_home), "PYTHONPATH": _import_path()}
    with log:
        child = subprocess.Popen(
            [sys.executable, "-m", "flows.runserver"],
            stdin=subprocess.PIPE,  # never written to; its end tells the server that this process is gone
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the run, which still tells the server how it ended
        )
    try:
        yield _address(child, prefect_home / LOG, start_seconds)
    finally:
        _end(child)


def _import_path() -> str:
    root = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)


def _address(child: subprocess.Popen[bytes], log: Path, seconds: float) -> str:
    """What the server writes on its first line when it answers; a timer ends one that never does."""
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        line = child.stdout.readline() if child.stdout else b""
    finally:
        timer.cancel()
    if line.endswith(b"\n"):
        return str(json.loads(line))
    tail = log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
    raise PrefectUnreachableError(
        f"the Prefect server of this run did not start: {tail or 'it said nothing'}",
        f"see {log}; if its database is damaged, move {log.parent} away and run again",
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:  # a browser holds a connection; its database is written by transactions
        child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def main() -> None:
    """Serve until the parent ends. The address goes to stdout as one JSON line once the server answers."""
    threading.Thread(target=_end_with_parent, args=(sys.stdin.buffer,), daemon=True).start()
    import uvicorn

    listener = socket.create_server((HOST, 0), backlog=128)
    address = f"http://{HOST}:{listener.getsockname()[1]}"
    os.environ["PREFECT_SERVER_UI_API_URL"] = f"{address}/api"  # without it the page asks port 4200
    from prefect.server.api.server import create_app

    config = uvicorn.Config(create_app(), log_level="error", lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    threading.Thread(target=_announce, args=(server, address), daemon=True).start()
    server.run(sockets=[listener])


def _announce(server: object, address: str) -> None:
    while not getattr(server, "started", False):
        time.sleep(0.05)
    os.write(1, (json.dumps(address) + "\n").encode())
    os.dup2(2, 1)  # whatever is printed later goes to the log


def _end_with_parent(pipe: IO[bytes]) -> None:
    while pipe.read(4096):
        continue
    os._exit(0)


if __name__ == "__main__":
    main()
