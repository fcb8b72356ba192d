"""The one place that touches MLflow: imported late, kept quiet, patient with a locked database, one named error.

Only `MlflowClient` is used, never the fluent functions: those keep a global tracking address and a global active run,
which threads of one week would share.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from eraflow.disk.locks import my_turn
from eraflow.errors import EraflowError

LOCK_SECONDS = 60.0
_IMPORT_LOCK, _DEFAULT_LOCK = threading.Lock(), threading.Lock()


class TrackingError(EraflowError):
    """MLflow could not record or find something. The week's results are not touched; the caller decides."""

    code = "tracking"


class NothingThereError(TrackingError):
    """MLflow knows no run, model, version or file of that name."""

    code = "tracking_nothing_there"


class MlflowLink:
    """Calls to one MLflow store.

    Args:
        uri: `sqlite:///...` or the address of a tracking server; runs and registry live in the same store.
        turn: a lock file beside a database of this computer: whoever comes first makes its tables, as two at once fail.
        lock_seconds: how long a locked database is waited for, in all, in one call.
        sleep: waits the given seconds; replaced in tests.
    """

    def __init__(
        self,
        uri: str,
        *,
        turn: Path | None = None,
        lock_seconds: float = LOCK_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.uri = uri
        self._turn = turn
        self._lock_seconds = lock_seconds
        self._sleep = sleep
        self._client: Any = None

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """`MlflowClient.method(*args, **kwargs)`.

        Raises:
            NothingThereError: MLflow says that what was asked for does not exist.
            TrackingError: any other failure, or a database that stays locked.
        """
        return self.with_retries(method, lambda: getattr(self._connected(), method)(*args, **kwargs))

    def with_retries(self, what: str, act: Callable[[], Any]) -> Any:
        """Do `act`; again, with growing pauses, while SQLite says that the database is locked."""
        deadline = time.monotonic() + self._lock_seconds
        pause = 0.05
        while True:
            try:
                return act()
            except EraflowError:
                raise
            except Exception as error:  # MLflow lets errors of SQLAlchemy, requests and the system through
                if not is_locked(error) or time.monotonic() + pause > deadline:
                    raise _named(what, self.uri, error) from error
            self._sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, 2.0)

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """This store as the one that MLflow asks where it is told none: its registry looks up models in that way."""
        mlflow = quiet_mlflow()
        with _DEFAULT_LOCK:
            before = mlflow.get_tracking_uri()
            mlflow.set_tracking_uri(self.uri)
            try:
                yield
            finally:
                mlflow.set_tracking_uri(before)

    def _connected(self) -> Any:
        if self._client is None:
            with nullcontext() if self._turn is None else my_turn(self._turn, lambda: None):
                self._client = self._made()
        return self._client

    def _made(self) -> Any:
        client = quiet_mlflow().MlflowClient(self.uri, registry_uri=self.uri)
        if self._turn is not None:  # the first questions make or renew the tables, of the runs and of the registry
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
        return client


def quiet_mlflow() -> Any:
    """The module `mlflow`, imported at the first call (about 2 s), without telemetry and without chatter."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")  # MLflow reads the word only, not 1
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with _IMPORT_LOCK:
        import mlflow

        if "MLFLOW_LOGGING_LEVEL" not in os.environ:
            logging.getLogger("mlflow").setLevel(logging.WARNING)
            # It logs every database error with a traceback before raising it; the error itself is enough.
            logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return mlflow


def is_locked(error: BaseException) -> bool:
    """Whether SQLite refused because another connection is writing; such a call was rolled back and may be repeated."""
    text = str(error)
    return "database is locked" in text or "database table is locked" in text


def _named(what: str, uri: str, error: Exception) -> TrackingError:
    text = f"{what} failed at {_without_secrets(uri)}: {type(error).__name__}: {str(error)[:500]}"
    if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":
        return NothingThereError(text, "check the name, or run a week first")
    if is_locked(error):
        return TrackingError(text, "close whatever else writes to this MLflow database, then run again")
    return TrackingError(text, "see tracking.uri and the MLflow database; tracking.enabled=false runs without it")


def _without_secrets(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if "@" in rest and not uri.startswith("sqlite") else uri
