"""Where the trials are kept: an SQLite file in the home folder, or any database that SQLAlchemy reaches."""

from __future__ import annotations

import os
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.study import Study
from optuna.trial import FrozenTrial
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from eraflow.disk.atomic import storage_errors
from eraflow.disk.locks import my_turn
from eraflow.disk.sqliteurl import sqlite_url
from eraflow.errors import EraflowError

FOLDER = "search"
DATABASE = "search.db"
PASSWORD_VARIABLE = "ERAFLOW_SEARCH_PASSWORD"
LOCK_SECONDS = 60
"""How long SQLite waits for another process's write. Trials last seconds at least, their writes milliseconds."""
BEATS = 5
"""Signs of life within the patience: one that comes late is not yet a death."""
LONGEST_BEAT_SECONDS = 60
TRIES = 5
MADE_MEANWHILE = ("already exists", "unique", "duplicate")


class SearchStorageError(EraflowError):
    """The storage of the search cannot be opened, read or written. Finished trials that were written are kept."""

    code = "search_storage"


def open_storage(
    address: str | None,
    home: Path,
    *,
    patience_seconds: float,
    when_stale: Callable[[Study, FrozenTrial], None],
) -> optuna.storages.RDBStorage:
    """The storage, with a heartbeat for each trial.

    Args:
        address: SQLAlchemy address without password; None: an SQLite file in `home/search`. A password is read from
            the environment (ERAFLOW_SEARCH_PASSWORD), so that it is in no file and no log.
        home: the home folder.
        patience_seconds: a running trial that gave no sign for so long is called stale.
        when_stale: what is done with a stale trial.

    Raises:
        SearchStorageError: it cannot be opened.
    """
    url = _url(address, home)
    local = url.drivername.startswith("sqlite")
    grace = max(1, round(patience_seconds))
    # Optuna says RuntimeError to tables of another of its versions.
    with storage_problems(url, also=(ImportError, RuntimeError)), ExitStack() as stack:
        if local and url.database:
            stack.enter_context(_maker(_file(url)))
        storage = _with_retries(
            lambda: optuna.storages.RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}} if local else {"pool_pre_ping": True},
                heartbeat_interval=max(1, min(grace // BEATS, LONGEST_BEAT_SECONDS)),
                grace_period=grace,
                heartbeat_stale_trial_callback=when_stale,
            )
        )
    if local:
        event.listen(storage.engine, "connect", _without_waiting_for_the_disk)
        storage.engine.dispose()  # the connections that made the tables
    return storage


@contextmanager
def _maker(path: Path) -> Iterator[None]:
    """Only one process of this computer at a time makes the tables; readers and a writer then do not stand in each
    other's way (a write-ahead log, which the file keeps)."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with my_turn(path.with_suffix(".lock")):
            connection = sqlite3.connect(path, timeout=LOCK_SECONDS)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
            yield


def _with_retries(make: Callable[[], Any]) -> Any:
    """Make the storage; again when another computer was making its tables at the same moment."""
    tries = 0
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return make()
        except SQLAlchemyError as error:
            tries += 1
            if tries == TRIES or not any(word in str(error).lower() for word in MADE_MEANWHILE):
                raise
            time.sleep(0.5)


def _without_waiting_for_the_disk(connection: Any, _: Any) -> None:
    """With a write-ahead log a killed process loses nothing by it; a power cut may lose the last trials, no more."""
    connection.execute("PRAGMA synchronous=NORMAL")


def shown(address: str | None, home: Path) -> str:
    """The address for people: no password in it."""
    return _url(address, home).render_as_string(hide_password=True)


def _file(url: URL) -> Path:
    """The SQLite file of an address, also of one in SQLite's own form."""
    name = str(url.database)
    return Path(unquote(name.removeprefix("file:"))) if url.query.get("uri") else Path(name)


def _url(address: str | None, home: Path) -> URL:
    if address is None:
        return make_url(sqlite_url(home / FOLDER / DATABASE))
    try:
        url = make_url(address)
    except SQLAlchemyError as error:
        raise SearchStorageError(
            "search.storage is not an address that SQLAlchemy can read",
            "write it as dialect://user@host:port/database, or leave it empty",
        ) from error
    password = os.environ.get(PASSWORD_VARIABLE)
    return url.set(password=password) if password and url.password is None else url


@contextmanager
def storage_problems(url: URL | None = None, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Name what the database and Optuna's storage raise, and `also`; a password never gets into the text."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error, *also) as error:
        cause: Any = error.__cause__ or error
        text = f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no reason given'}"
        for secret in (os.environ.get(PASSWORD_VARIABLE), None if url is None else url.password):
            text = text.replace(str(secret), "***") if secret else text
        where = "" if url is None else f" at {url.render_as_string(hide_password=True)}"
        # Not chained: the original's text and arguments may hold the address with its password.
        raise SearchStorageError(
            f"the storage of the search{where} does not work: {text}",
            "see search.storage; trials that were finished are kept, so run again when it works",
        ) from None
