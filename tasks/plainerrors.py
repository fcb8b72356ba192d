"""Named errors in the log without a traceback: their text says what to do, and the place in the code does not help."""

from __future__ import annotations

import logging

from eraflow.errors import EraflowError
from eraflow.machine.failures import StageError

ENGINE_LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")


class PlainErrors(logging.Filter):
    """Leaves the traceback away where the exception is one that Eraflow raised on purpose.

    What happened inside a stage's child is not lost: its own traceback is in the detail of the error and in the
    stage's log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record pass."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, EraflowError):
            record.exc_info = record.exc_text = None
            record.msg, record.args = f"{error}{_detail(error)}", ()
        return True


def _detail(error: EraflowError) -> str:
    unexpected = type(error) is StageError  # an exception of a library or of our own code, in the child
    return f"\n{error.detail}" if unexpected and error.detail else ""  # type: ignore[attr-defined]


def show_plain_errors() -> None:
    """Make Prefect's loggers so; calling it again changes nothing."""
    for name in ENGINE_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, PlainErrors) for known in logger.filters):
            logger.addFilter(PlainErrors())
