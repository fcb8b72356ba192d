"""Which Prefect server runs for a home: `eraflow server` notes its address beside the database, under a lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.disk.locks import own, owner_is_dead

NOTE = "eraflow-server.json"
LOCK = ".eraflow-server.lock"


def prefect_folder(home: Path) -> Path:
    """Prefect's own folder, with the history of this home: PREFECT_HOME, or `prefect` in the home folder."""
    named = os.environ.get("PREFECT_HOME")
    return Path(named).expanduser() if named else home / "prefect"


def running_server(folder: Path) -> str | None:
    """The address of the server that `eraflow server` runs on the history in this folder, or None.

    A killed one leaves its note, but not the lock.
    """
    lock = folder / LOCK
    if not os.path.exists(lock) or owner_is_dead(lock):
        return None
    noted = read_object(folder / NOTE) or {}  # none: it has not yet written it
    return str(noted["url"]) if "url" in noted else None


@contextmanager
def noted_server(folder: Path, url: str) -> Iterator[None]:
    """Let others find the server while the block runs.

    Raises:
        BlockingIOError: another one is at work here.
        StorageError, NoLocksError: the folder cannot be written or locked.
    """
    with own(folder / LOCK):
        write_json(folder / NOTE, {"url": url, "process": os.getpid()})
        try:
            yield
        finally:
            (folder / NOTE).unlink(missing_ok=True)
