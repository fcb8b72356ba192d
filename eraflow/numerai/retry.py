"""Deadlines and retries: how long to wait for a server, and how often to ask again."""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from eraflow.machine.awake import awake, join_awake
from eraflow.numerai.errors import ApiRefusedError, DeadlineError, NoThreadError, TournamentError


class HasId(Protocol):
    """Something that the server knows."""

    @property
    def id(self) -> str:
        """By which it is asked for."""


T = TypeVar("T")
Known = TypeVar("Known", bound=HasId)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# A tenth of what a bad mobile connection gives. At this rate even live.parquet (10 MB) would take 17 minutes.
LEAST_BYTES_PER_SECOND = 10_000.0


def _silent(_: str) -> None:
    """The log of a caller who wants none."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long and how often.

    Args:
        call_seconds: deadline of one attempt of an API call.
        transfer_seconds: deadline of one download or upload, all attempts together.
        least_rate: bytes a second, over each `call_seconds`, below which a transfer counts as stalled.
        attempts: attempts of a call that fails for a passing reason.
        log: receives one line for each failed attempt that is followed by another.
        sleep, clock, jitter: replaced in tests; `jitter` returns a float in [0, 1).
    """

    call_seconds: float = 30.0
    transfer_seconds: float = 3600.0
    attempts: int = 5
    log: Callable[[str], None] = _silent
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = awake
    jitter: Callable[[], float] = random.random
    least_rate: float = LEAST_BYTES_PER_SECOND

    def retry(self, what: str, work: Callable[[], T]) -> T:
        """Do `work`; when it fails for a passing reason, wait and do it again, up to `attempts` times.

        Raises:
            TournamentError: the first lasting error, or the last passing one.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return work()
            except TournamentError as error:
                if not error.passing:
                    raise
                if attempt == self.attempts:
                    raise error.after(attempt) from error
                self.pause(what, attempt, error)
        raise ValueError(f"attempts must be at least 1, found {self.attempts}")

    def once(
        self,
        what: str,
        ask: Callable[[], T],
        arrived: Callable[[TournamentError], Known | None],
        given_up: Callable[[TournamentError, int], TournamentError] | None = None,
    ) -> T | Known:
        """What a request gives that must not arrive twice.

        When the answer is lost, or is an error, the request may have arrived all the same: before it is repeated or
        given up, we look.

        Args:
            what: for messages.
            ask: sends the request, once.
            arrived: what the request has made, where it is there; is told why nobody knows.
            given_up: from the last error and the attempts that were made to what is raised. Usually that error.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return ask()
            except TournamentError as error:
                if not (error.passing or isinstance(error, ApiRefusedError)):
                    raise
                if error.passing:
                    self.pause(what, attempt, error)
                found = arrived(error)
                if found is not None:
                    self.log(f"{what}: it had arrived, as {found.id}")
                    return found
                if not error.passing or attempt == self.attempts:
                    raise (error.after(attempt) if given_up is None else given_up(error, attempt)) from error
        raise ValueError(f"attempts must be at least 1, found {self.attempts}")

    def pause(self, what: str, attempt: int, error: TournamentError) -> None:
        """Wait after the failed attempt number `attempt` (from 1), and say so."""
        seconds = self.pause_seconds(attempt, error.retry_after)
        self.log(
            f"{what}: attempt {attempt} of {self.attempts} failed ({error.problem}); trying again in {seconds:.1f} s"
        )
        self.sleep(seconds)

    def pause_seconds(self, attempt: int, asked: float | None = None) -> float:
        """Exponential back-off with full jitter: uniform between 0 and 1, 2, 4, ... 60 s, or what the server asked.

        Full jitter keeps many clients that saw the same outage from coming back together (Brooker, "Exponential
        Backoff And Jitter", AWS Architecture Blog, 2015).
        """
        ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 30))
        return max(self.jitter() * ceiling, min(asked or 0.0, LONGEST_PAUSE_SECONDS))


class _BackgroundCall(Generic[T]):
    """Work on a thread of its own, whose result nobody may be waiting for any more."""

    def __init__(self, work: Callable[[], T], late: Callable[[T], None] | None) -> None:
        self._work, self._late = work, late
        self._lock = threading.Lock()
        self._abandoned = False
        self.results: list[T] = []
        self.errors: list[BaseException] = []

    def run(self) -> None:
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001  (raised again on the thread that waits)
            self.errors.append(error)
            return
        with self._lock:
            self.results.append(result)
            too_late = self._abandoned
        if too_late and self._late is not None:
            self._late(result)

    def abandon(self) -> bool:
        """Stop waiting; False when the result came in at the last moment."""
        with self._lock:
            self._abandoned = not self.results
            return self._abandoned


def within(seconds: float, what: str, work: Callable[[], T], *, late: Callable[[T], None] | None = None) -> T:
    """The result of `work`, or DeadlineError after `seconds`.

    The work runs in a daemon thread because numerapi's POST has no timeout and cannot be interrupted: after the
    deadline the thread is left alone and ends with its socket or with the process. `late` disposes of a result that
    comes in after that.
    """
    errand = _BackgroundCall(work, late)
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(errand.run,), name=f"eraflow: {what}", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise NoThreadError(
            f"{what}: {error}", "close other programs, or raise the limit of processes (ulimit -u), then run again"
        ) from error
    join_awake(thread, max(seconds, 0.0))
    if thread.is_alive() and errand.abandon():
        raise DeadlineError(
            f"{what}: no answer within {seconds:g} s",
            "run again later, or allow more time (source.call_seconds, source.transfer_seconds)",
        )
    if errand.errors:
        raise errand.errors[0]
    return errand.results[0]
