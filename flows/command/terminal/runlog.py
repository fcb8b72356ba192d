"""Where the lines of a run go: always to `run.log` in its folder; to the terminal, or into the live view."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eraflow.disk.ownership import is_run_dir
from eraflow.runs.conclusion import conclusion

RUN_LOG = "run.log"
MOST_WAITING = 1000
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

    file = _RunLogHandler(run_dir)
    file.setFormatter(
        PrefectFormatter(
            f"{FORMAT}%(name)s - %(message)s",
            "%Y-%m-%d %H:%M:%S",
            flow_run_fmt=f"{FORMAT}%(flow_run_name)s - %(message)s",
            task_run_fmt=f"{FORMAT}%(task_run_name)s - %(message)s",
        )
    )
    root = logging.getLogger()  # Prefect's own loggers pass on to it, as every library's do
    silenced = [each for each in root.handlers if isinstance(each, PrefectConsoleHandler)] if show else []
    added = [file, _Shown(show)] if show else [file]
    _change(root, silenced, added)
    try:
        yield
    finally:
        _change(root, added, silenced)
        file.close()


def _change(logger: logging.Logger, taken: Sequence[logging.Handler], given: Sequence[logging.Handler]) -> None:
    for handler in taken:
        logger.removeHandler(handler)
    for handler in given:
        logger.addHandler(handler)


class _RunLogHandler(logging.FileHandler):
    """The file, from the moment at which the folder is a run's: what comes before waits, and nothing is written into a
    folder that is not ours or has ended.

    A file that cannot be written costs its lines, not the run: the disk may be full.
    """

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir / RUN_LOG, encoding="utf-8", delay=True)
        self._run_dir, self._waiting = run_dir, deque[logging.LogRecord](maxlen=MOST_WAITING)
        self._closed = conclusion(run_dir) is not None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, or let it wait."""
        self._waiting.append(record)
        if self._closed or (self.stream is None and not is_run_dir(self._run_dir)):
            return
        try:
            while self._waiting:
                super().emit(self._waiting.popleft())
        except OSError:  # it cannot be opened
            self._closed = True

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
