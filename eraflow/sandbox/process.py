"""The sandbox as a child process that cannot outlive its parent, and as a foreground server."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

import eraflow
from eraflow.disk.atomic import storage_errors
from eraflow.errors import EraflowError
from eraflow.machine.credentials import without_credentials
from eraflow.sandbox.calendar import RoundSpec
from eraflow.sandbox.records import SANDBOX_KEYS

LOG = "sandbox.log"
START_SECONDS = 60.0  # a cold start takes about two; a busy machine several times that
CLOSE_SECONDS = 5.0
HOST = "127.0.0.1"
_WATCH_SECONDS = 0.5
_LOG_TAIL = 1500


class SandboxStartError(EraflowError):
    """The sandbox did not start. The end of its log is in the message; correct what it names and start again."""

    code = "sandbox_start"


@dataclass(frozen=True)
class SandboxAddress:
    """Where a running sandbox is, and the key that its account accepts. The secret is in no text made of this."""

    url: str
    public_id: str
    secret_key: str = field(repr=False)


@contextmanager
def sandbox(
    folder: Path | str,
    state_dir: Path | str,
    *,
    version: str = "v5.3",
    round_spec: RoundSpec | None = None,
    models: Sequence[str] = ("eraflow",),
    rehearsals: Path | None = None,
) -> Iterator[SandboxAddress]:
    """A sandbox that serves `folder` while the block runs; it is ended at once when the block ends.

    The child also ends by itself when this process dies, however it dies: it reads a pipe that only this process
    holds open, and looks whether it still has its parent. (Linux' death signal is not used: it fires when the
    *thread* that started the child ends, and flows start it from worker threads.)

    Args:
        folder: a folder in tournament layout.
        state_dir: where uploads, state.json and sandbox.log are kept; a later sandbox there continues with them.
        version: data set version under which the files are offered.
        round_spec: the round; open now by default.
        models: names of the account's model slots.
        rehearsals: the environments in which uploaded models are run, where they are built; None: none is run.

    Raises:
        SandboxStartError: it did not start; with the end of its log.
        StorageError: the state folder cannot be written.
    """
    state = Path(state_dir)
    with storage_errors(state):
        state.mkdir(parents=True, exist_ok=True)
        log = (state / LOG).open("ab")
    options = [f"--{name}={value}" for name, value in (("port", 0), ("version", version))]
    options += [f"--model={name}" for name in models]
    options += ["--round-json", json.dumps(asdict(round_spec or RoundSpec()))]
    options += [] if rehearsals is None else ["--rehearsals", str(rehearsals)]
    command = [sys.executable, "-m", __package__ or "eraflow.sandbox", "--folder", str(folder)]
    command += ["--state-dir", str(state), "--parent", str(os.getpid()), *options]
    with log:
        began = log.tell()
        # A session of its own: Ctrl-C in a terminal is the parent's to handle, which still needs the sandbox then.
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(),
            start_new_session=True,
        )
    try:
        yield _wait_until_ready(child, state / LOG, began, START_SECONDS)
    finally:
        _end(child)


def _environment() -> dict[str, str]:
    """The child imports the same eraflow, wherever it is started; nobody's Numerai key goes there."""
    root = str(Path(eraflow.__file__).resolve().parents[1])
    kept = without_credentials(os.environ)
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _wait_until_ready(child: subprocess.Popen[bytes], log: Path, began: int, seconds: float) -> SandboxAddress:
    """The address that the child writes on its first line of output."""
    line = _first_line(child, seconds)
    if not line.endswith(b"\n"):
        died = child.poll()
        how = f"no answer within {seconds:.0f} s" if died is None else f"exit code {died}"
        with log.open("rb") as handle:
            handle.seek(began)
            tail = handle.read().decode("utf-8", "replace").strip()[-_LOG_TAIL:]
        raise SandboxStartError(f"the sandbox did not start ({how}): {tail or 'it said nothing'}", f"see {log}")
    return SandboxAddress(**json.loads(line))


def _first_line(child: subprocess.Popen[bytes], seconds: float) -> bytes:
    if child.stdout is None:
        return b""
    deadline = time.monotonic() + seconds
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
            if selector.select(left):
                part = os.read(child.stdout.fileno(), 65536)
                if not part:
                    child.wait(CLOSE_SECONDS)  # its output is closed: it is ending
                    break
                line += part
    return line


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child at once: every file it writes is written atomically, so a kill harms nothing."""
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def run_child(make: Callable[[], Any], port: int, parent: int) -> None:
    """Serve in this process until the parent ends; the address goes to stdout as one JSON line.

    Args:
        make: makes the application.
        port: 0 picks a free one.
        parent: process id of the parent.
    """
    _die_with(parent)
    app = make()
    listener = _listen(port)
    sys.stdout.write(json.dumps(asdict(SandboxAddress(_url(listener), *SANDBOX_KEYS))) + "\n")
    sys.stdout.flush()
    _server(app).run(sockets=[listener])


def serve(
    folder: Path | str,
    state_dir: Path | str,
    *,
    port: int = 8765,
    version: str = "v5.3",
    round_spec: RoundSpec | None = None,
    models: Sequence[str] = ("eraflow",),
    announce: Callable[[str], object] | None = None,
    faults: Mapping[str, int] | None = None,
    rehearsals: Path | None = None,
) -> int:
    """Serve `folder` on 127.0.0.1 until Ctrl-C (or SIGTERM); returns the exit code 0.

    Args:
        announce: told once, in a few lines, the address and the keys to export; stdout by default.
        faults: what it does wrong from the start; the names and counts of `sandbox.faults.Faults`.
        rehearsals: the environments in which uploaded models are run, where they are built; None: none is run.

    Raises:
        DataFolderError, StateInUseError, SandboxStartError: it cannot be served, and why.
    """
    # Whoever only starts a sandbox as a child need not load the web framework.
    from eraflow.sandbox.server import make_app

    app = make_app(
        Path(folder),
        Path(state_dir),
        version=version,
        round_spec=round_spec,
        models=models,
        faults=faults,
        rehearsals=rehearsals,
    )
    listener = _listen(port)
    (announce or _write)(instructions(SandboxAddress(_url(listener), *SANDBOX_KEYS)))
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after its clean shutdown
        _server(app).run(sockets=[listener])
    return 0


def instructions(address: SandboxAddress) -> str:
    """What to type to send a program to this sandbox."""
    return (
        f"The sandbox listens on {address.url} (Ctrl-C ends it).\n"
        "To use it from another terminal:\n"
        f"  eraflow run --profile sandbox --set source.url={address.url}\n"
        f"or with any program that uses numerapi:\n"
        f"  export NUMERAI_PUBLIC_ID={address.public_id} NUMERAI_SECRET_KEY={address.secret_key}\n"
        "and in Python, before the first call:\n"
        f'  numerapi.base_api.API_TOURNAMENT_URL = "{address.url}"'
    )


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _listen(port: int) -> socket.socket:
    """A socket bound to the loopback. It listens at once, so that a request sent before the server runs waits."""
    try:
        return socket.create_server((HOST, port), backlog=128)
    except (OSError, OverflowError) as error:  # OverflowError: there is no such port
        why = getattr(error, "strerror", None) or error
        raise SandboxStartError(
            f"cannot listen on {HOST}:{port} ({why})", "choose another port, or 0 for any free one"
        ) from error


def _url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def _server(app: Any) -> uvicorn.Server:
    # The application writes the Date header itself, by the sandbox's clock.
    config = uvicorn.Config(
        app, log_level="info", access_log=False, timeout_graceful_shutdown=1, lifespan="off", date_header=False
    )
    return uvicorn.Server(config)


def _die_with(parent: int) -> None:
    """End this process when its parent is gone: at end of file on stdin, or when the parent id has changed."""
    threading.Thread(target=_until_closed, args=(sys.stdin.fileno(),), daemon=True).start()
    threading.Thread(target=_until_orphaned, args=(parent,), daemon=True).start()


def _until_closed(pipe: int) -> None:
    # Not by sys.stdin.buffer: a process that ends while a thread reads from it aborts ("_enter_buffered_busy").
    while os.read(pipe, 4096):
        continue
    os._exit(0)


def _until_orphaned(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(0)
