"""The Prefect server that a run brings with it: it shows the run while it lasts, and ends with it, however it ends.

Prefect starts such a server by itself, but that one goes on for ever when the run is killed, and stays away for ever
when it is killed itself. This one is started again: the run holds the socket that it listens on, so that whoever asks
meanwhile waits for the next one instead of being refused. When it cannot be started again, the run goes on without it:
every question is then answered at once by a refusal that Prefect does not repeat.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from eraflow.disk.atomic import storage_errors
from eraflow.disk.locks import my_turn
from eraflow.errors import EraflowError
from eraflow.machine.credentials import PREFECT, without_credentials

LOG = "server.log"
STARTING = ".starting"
HOST = "127.0.0.1"
START_SECONDS = 180.0
END_SECONDS = 5.0
COMMAND = [sys.executable, "-m", "flows.command.prefectserver.runserver"]
RESTARTS = 5
LOG_BYTES = 1_000_000  # a longer log is begun anew
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
def run_server(prefect_home: Path, say: Callable[[str], object]) -> Iterator[str]:
    """A Prefect server on the database in `prefect_home` while the block runs; gives its address.

    The first start makes the database, which takes ten seconds or more on a busy computer.

    Args:
        prefect_home: Prefect's own folder.
        say: told in a line what people should know: that it waits for another run's start, that the server died.

    Raises:
        PrefectUnreachableError: it did not start; with the end of its log.
        StorageError: the folder cannot be written.
    """
    with socket.create_server((HOST, 0), backlog=128) as listener:

        def go_on_without(why: str) -> None:
            say(f"the Prefect server of this run is lost ({why}); the run goes on, and what it shows is incomplete")
            _refuse_all(listener)

        server = WatchedServer(prefect_home, listener, say, go_on_without, ENVIRONMENT)
        server.start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.end()


class WatchedServer:
    """The process that serves, and the thread that starts another one when it dies.

    Args:
        home: Prefect's own folder, with the database.
        listener: the socket to serve on; held here, so that it outlives a server that dies.
        say: told in a line what people should know.
        lost: called with the reason when no other server can be started.
        environment: of the server, besides this process's without keys.
        start_seconds: how long one start may take.
    """

    def __init__(
        self,
        home: Path,
        listener: socket.socket,
        say: Callable[[str], object],
        lost: Callable[[str], object],
        environment: Mapping[str, str],
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.home, self.listener, self.say, self.lost = home, listener, say, lost
        self.environment, self.seconds = environment, start_seconds
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.child: subprocess.Popen[bytes] | None = None
        self.exits = 0
        self.watch = threading.Thread(target=self._watch, name="run-server", daemon=True)

    def start(self) -> None:
        """Start the first one and watch over it."""
        self._start_one()
        self.watch.start()

    def end(self) -> None:
        """End the process for good."""
        with self.lock:  # nobody starts another one from here on
            self.ending.set()
        if self.child is not None:
            _end(self.child)

    def _watch(self) -> None:
        while self.child is not None:
            code = self.child.wait()
            if self.ending.is_set():
                return
            self.exits += 1
            began = time.monotonic()
            if self.exits > RESTARTS:
                return self._give_up(f"it has died {self.exits} times")
            try:
                self._start_one()
            except EraflowError as error:
                return self._give_up(str(error))
            if not self.ending.is_set():
                took = time.monotonic() - began
                self.say(f"the Prefect server ended ({_how(code)}); started again in {took:.0f} s")

    def _start_one(self) -> None:
        """Start a server and wait until it answers. One at a time in a home: the first one makes the database."""
        told = "another run makes or opens the Prefect database of this home; this one waits for it"
        with my_turn(self.home / STARTING, lambda: self.say(told)):
            with self.lock:
                if self.ending.is_set():
                    return
                self.child, began = self._spawn()
            _wait_until_ready(self.child, self.home / LOG, began, self.seconds)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], int]:
        """The process, and where its part of the log begins."""
        path = self.home / LOG
        with storage_errors(path):
            self.home.mkdir(parents=True, exist_ok=True)
            old = path.exists() and path.stat().st_size > LOG_BYTES
            log = path.open("wb" if old else "ab")
        kept = {**without_credentials(os.environ, PREFECT), **self.environment}
        kept.pop("PREFECT_API_URL", None)  # of another server
        with log:
            began = log.tell()
            child = subprocess.Popen(
                [*COMMAND, str(self.listener.fileno())],
                stdin=subprocess.PIPE,  # never written to; its end tells the server that this process is gone
                stdout=subprocess.PIPE,
                stderr=log,
                env={**kept, "PREFECT_HOME": str(self.home), "PYTHONPATH": _import_path()},
                pass_fds=[self.listener.fileno()],
                start_new_session=True,  # Ctrl-C is for the run, which still tells the server how it ended
            )
        return child, began

    def _give_up(self, why: str) -> None:
        if not self.ending.is_set():
            self.lost(why)


def _refuse_all(listener: socket.socket) -> None:
    """Answer everything by a refusal, so that nobody waits; what the run does is not touched by it."""
    from flows.command.prefectserver.refusal import (
        Refusal,  # an HTTP server of Python's own, which no other verb has to load
    )

    with suppress(OSError, ValueError):  # the run ends meanwhile and has closed the socket
        Refusal(listener).serve_forever()


def _import_path() -> str:
    root = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)


def _wait_until_ready(child: subprocess.Popen[bytes], log: Path, began: int, seconds: float) -> None:
    """Until the server writes its first line, when it answers; a timer ends one that never does."""
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        line = child.stdout.readline() if child.stdout else b""
    finally:
        timer.cancel()
    if line.endswith(b"\n"):
        return
    tail = log.read_bytes()[began:].decode("utf-8", "replace").strip()[-1500:]
    raise PrefectUnreachableError(
        f"the Prefect server did not start: {tail or 'it said nothing'}",
        f"see {log}; if its database is damaged, move {log.parent} away and run again",
    )


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


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


def main(descriptor: int) -> None:
    """Serve on an inherited socket until the parent ends; a line on stdout says when questions are answered."""
    threading.Thread(target=_end_with_parent, args=(sys.stdin.fileno(),), daemon=True).start()
    import uvicorn

    listener = socket.socket(fileno=descriptor)
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


def _end_with_parent(pipe: int) -> None:
    # Not by sys.stdin.buffer: a process that ends while a thread reads from it aborts ("_enter_buffered_busy").
    while os.read(pipe, 4096):
        continue
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
