"""What the sandbox remembers: uploads, submissions, pickles. One JSON file, rewritten whole at each change."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from eraflow.disk.atomic import write_json
from eraflow.disk.locks import hold
from eraflow.errors import EraflowError

FILE = "state.json"
CLAIM_SECONDS = 1.0  # one whose parent was just killed takes a moment to notice
# The key of the sandbox's account, public id and secret. It opens nothing but a sandbox on this computer, and it is
# the same everywhere, so that a program needs only the address of a sandbox that already runs.
SANDBOX_KEYS = ("SANDBOXPUBLICID", "SANDBOXSECRETKEY")


class StateInUseError(EraflowError):
    """Another sandbox works on this state folder. End that one, or give this one a folder of its own."""

    code = "sandbox_state_in_use"


class Records:
    """The state of a sandbox, kept in `folder`/state.json; a sandbox started there again continues with it.

    Attributes:
        data: plain JSON. signing, the key of signed addresses; uploads {file name: {kind, model, at}}; submissions,
            pickles, triggers and diagnostics, each a list of records, oldest first; assigned {model id: pickle id}.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads = folder / "uploads"
        self.uploads.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._guard = _claim(folder / "lock")
        self.data: dict[str, Any] = _empty()
        path = folder / FILE
        if path.is_file():
            self.data |= json.loads(path.read_text(encoding="utf-8"))
        else:
            write_json(path, self.data)
        path.chmod(0o600)

    @contextmanager
    def reading(self) -> Iterator[dict[str, Any]]:
        """The data, while nobody changes it."""
        with self._lock:
            yield self.data

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The data, to be changed; on disk when the block ends."""
        with self._lock:
            yield self.data
            write_json(self.folder / FILE, self.data)
            (self.folder / FILE).chmod(0o600)

    def stored(self, filename: str) -> Path | None:
        """The uploaded file, if it has arrived."""
        path = self.uploads / filename
        return path if path.is_file() else None


def _empty() -> dict[str, Any]:
    return {
        "signing": secrets.token_hex(16),
        "uploads": {},
        "submissions": [],
        "pickles": [],
        "assigned": {},
        "triggers": [],
        "diagnostics": [],
    }


def _claim(path: Path) -> BinaryIO:
    """Hold a lock on the state folder for as long as this process lives; the system frees it when the process dies."""
    deadline = time.monotonic() + CLAIM_SECONDS
    while (handle := hold(path)) is None:
        if time.monotonic() > deadline:
            raise StateInUseError(f"another sandbox uses {path.parent}", "end it first, or choose another state folder")
        time.sleep(0.05)
    return handle
