"""What every heavy task does around its plain function: retries by the ledger, progress, and the attempts table."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from eraflow.errors import SettingsError
from eraflow.machine.ledger import Ledger
from eraflow.machine.plan import RETRIED_KINDS
from eraflow.machine.progress import Progress
from eraflow.runs.attempt import Work, attempt_stage
from eraflow.runs.onlookers import IN_NEWS
from eraflow.runs.stage import LEDGER, StageRecord
from eraflow.runs.weekrecord import note_stage
from tasks.pages.artifacts import Place, artifact_key, placed, show_attempts
from tasks.pages.watchpage import show_watch
from tasks.recovery.presence import server_listens
from tasks.run import Run

PROGRESS_SECONDS = 5.0
WARNING = "WARNING "


def retryable(task: Any, task_run: Any, state: Any) -> bool:
    """Whether another attempt makes sense; a plain function, because Prefect ignores anything else here."""
    error = state.result(raise_on_failure=False)
    return getattr(error, "kind", None) in RETRIED_KINDS


# The ladder in the ledger ends a stage long before Prefect's own count does. No Prefect cache: the manifest decides.
STAGE_TASK: dict[str, Any] = {
    "retries": 20,
    "retry_delay_seconds": 1,
    "retry_condition_fn": retryable,
    "cache_policy": NO_CACHE,
}
LIGHT_TASK: dict[str, Any] = {"cache_policy": NO_CACHE}


def run_stage(run: Run, work: Work) -> StageRecord:
    """One attempt at `work`, shown: log lines, progress with the time left, and one version of the attempts table."""
    logger = get_run_logger()
    note_stage(run.path, work.name)
    shown = ProgressShown(work.name, partial(logger.info, extra={IN_NEWS: True}))
    try:
        return attempt_stage(
            work,
            run.path,
            run.settings.machine,
            log=log_line(logger),
            on_progress=shown.update,
            home=run.settings.home_path,
        )
    finally:
        shown.close()
        rows = Ledger(run.path / work.name / LEDGER).table()
        if rows:
            show_attempts(work.name, rows)
        show_watch(work.name, run.path / work.name)


def log_line(logger: Any) -> Callable[[str], None]:
    """A stage's line for the log; what the watch warns of is a warning there too."""
    return lambda line: logger.warning(line) if line.startswith(WARNING) else logger.info(line)


def record_or_loss(state: Any) -> StageRecord | Exception:
    """What a stage's task came to: its record, or the error that it is lost by; the week may go on without it.

    Raises:
        SettingsError: a person must correct it, before anything else is done.
        BaseException: not an error of the stage, Ctrl-C for example.
    """
    if state.is_completed():
        record: StageRecord = state.result()
        return record
    error = state.result(raise_on_failure=False)
    if isinstance(error, SettingsError) or not isinstance(error, Exception):
        state.result()
    lost: Exception = error
    return lost


def progress_line(name: str, progress: Progress) -> str:
    """A line of the log. What the percentage is of is said: of the stage, while the label may count a fit's trees."""
    left = f", {duration_in_words(progress.seconds_left)} left" if progress.seconds_left is not None else ""
    return f"{name} {progress.fraction:.0%} of the stage{left}: {progress.label}"


class ProgressShown:
    """A progress bar in the Prefect UI and a log line, at most one each five seconds."""

    def __init__(self, name: str, log: Callable[[str], None]) -> None:
        self.name = name
        self.log = log
        self.artifact: UUID | None = None
        self.last = time.monotonic()

    def update(self, progress: Progress) -> None:
        """Take the newest progress of the stage; most are dropped."""
        if time.monotonic() - self.last < PROGRESS_SECONDS:
            return
        self.last = time.monotonic()
        percent = 100.0 * progress.done / max(progress.total, 1)
        self.log(progress_line(self.name, progress))
        self._show(percent)

    def _show(self, percent: float) -> None:
        if not server_listens():
            return
        try:
            if self.artifact is None:
                key = artifact_key("progress", self.name)
                made = placed(lambda: create_progress_artifact(percent, key=key, description=self.name), Place.DETAIL)
                self.artifact = made  # type: ignore[assignment]
            else:
                update_progress_artifact(self.artifact, percent)
        except Exception as error:  # noqa: BLE001 - a progress bar must never cost the stage; the log has the figures
            logging.getLogger(__name__).warning("progress of %s cannot be shown: %s", self.name, error)

    def close(self) -> None:
        """Fill the bar of a stage that showed one."""
        if self.artifact is not None:
            self._show(100.0)


def duration_in_words(seconds: float) -> str:
    """Seconds as people say them: `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
