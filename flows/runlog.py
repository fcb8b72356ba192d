"""Where the lines of a run go: always to `run.log` in its folder; to the terminal, or into the live view."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

RUN_LOG = "run.log"
LOGGERS = ("", "prefect")
"""The root, which hears of every library, and Prefect's own, which does not pass on."""
FORMAT = "%(asctime)s.%(msecs)03d | %(levelname)-7s | "
REPEATED = ("Finished in state", "Crash detected!", "Encountered exception", "Task run failed with exception")
"""Prefect's own words about an error that is told anyway, by the task before or by the command after."""


@contextlib.contextmanager
def run_log(run_dir: Path, show: Callable[[logging.LogRecord], None] | None) -> Iterator[None]:
    """Write a run's lines into its folder while the block runs.

    Args:
        run_dir: the run's folder.
        show: takes each line instead of the terminal; None: the terminal shows them as Prefect does.
    """
    from prefect.logging.formatters import PrefectFormatter
    from prefect.logging.handlers import PrefectConsoleHandler

    file = _RunLogHandler(run_dir / RUN_LOG, encoding="utf-8", delay=True)
    file.setFormatter(
        PrefectFormatter(
            f"{FORMAT}%(name)s - %(message)s",
            "%Y-%m-%d %H:%M:%S",
            flow_run_fmt=f"{FORMAT}%(flow_run_name)s - %(message)s",
            task_run_fmt=f"{FORMAT}%(task_run_name)s - %(message)s",
        )
    )
    changed: list[tuple[logging.Logger, Sequence[logging.Handler], Sequence[logging.Handler]]] = []
    for name in LOGGERS:
        logger = logging.getLogger(name)
        silenced: Sequence[logging.Handler] = (
            [each for each in logger.handlers if isinstance(each, PrefectConsoleHandler)] if show else []
        )
        added: Sequence[logging.Handler] = [file] if show is None else [file, _Shown(show)]
        _change(logger, silenced, added)
        changed.append((logger, silenced, added))
    try:
        yield
    finally:
        for logger, silenced, added in changed:
            _change(logger, added, silenced)
        file.close()


def _change(logger: logging.Logger, taken: Sequence[logging.Handler], given: Sequence[logging.Handler]) -> None:
    for handler in taken:
        logger.removeHandler(handler)
    for handler in given:
        logger.addHandler(handler)


class _RunLogHandler(logging.FileHandler):
    """A file that cannot be written costs its lines, not the run: the disk may be full."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Prefect and the view still have the line."""


class _Shown(logging.Handler):
    def __init__(self, show: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """The file has the line."""


def says_something(record: logging.LogRecord) -> bool:
    """Whether the line tells more than that Prefect has noted it."""
    return not record.getMessage().startswith(REPEATED)


def matters(record: logging.LogRecord) -> bool:
    """Whether a person should see the line though the view is gone when the run ends."""
    return record.levelno >= logging.WARNING and says_something(record)
