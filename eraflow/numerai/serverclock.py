"""The tournament's own clock: rounds open and close by it, whatever the clock of this machine says.

A machine whose clock is an hour wrong would otherwise wait for a round that is open, or send to one that has closed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import requests

from eraflow.machine.awake import since_boot
from eraflow.numerai.errornames import http_date, reason
from eraflow.numerai.errors import TournamentError
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.retry import within

TOLD_SECONDS = 60.0
"""A clock that is wrong by more than this is told in the log: storage services refuse from 15 minutes on."""
_KEPT_SECONDS = 600.0
_AGAIN_SECONDS = 60.0  # after an answer without a time
_LOOK_SECONDS = 5.0  # the time is worth asking for, but not worth waiting for
_UNSURE_SECONDS = 2.0  # the Date header counts whole seconds, and the answer took its way


class ServerClock:
    """What time it is at the tournament.

    Args:
        graphql: the way to the API.
        now: this machine's time, UTC.
        warn: receives a line when the two differ by more than `TOLD_SECONDS`.
    """

    def __init__(self, graphql: GraphQLClient, now: Callable[[], datetime], warn: Callable[[str], None]) -> None:
        self._graphql, self._now, self._warn = graphql, now, warn
        self._offset = timedelta(0)
        self._known_until = -1.0
        self._told: timedelta | None = None
        self._wall_known = self._wall()

    def __call__(self) -> datetime:
        """The time at the tournament, UTC; this machine's when the tournament does not tell."""
        return self._now() + self.offset()

    def offset(self) -> timedelta:
        """How far the tournament's clock is ahead of this machine's; zero when it cannot be told from zero."""
        clock = self._graphql.policy.clock
        if clock() >= self._known_until or abs(self._wall() - self._wall_known) > _UNSURE_SECONDS:
            found = self._measure()
            self._offset = self._offset if found is None else found
            self._wall_known = self._wall()
            self._known_until = clock() + (_AGAIN_SECONDS if found is None else _KEPT_SECONDS)
            self._tell(self._offset)
        return self._offset

    def _wall(self) -> float:
        """How far this machine's clock is ahead of its own seconds since boot; it changes when the clock is set."""
        return self._now().timestamp() - since_boot()

    def _measure(self) -> timedelta | None:
        seconds = min(_LOOK_SECONDS, self._graphql.policy.call_seconds)
        head = partial(requests.head, self._graphql.endpoint.name, timeout=seconds, allow_redirects=False)
        before = self._now()
        try:
            answer = within(seconds, "asking the time", head)
        except (requests.RequestException, TournamentError) as error:
            said = error.problem if isinstance(error, TournamentError) else reason(error)
            self._graphql.policy.log(f"the tournament's clock could not be read ({said}); this machine's is taken")
            return None
        after = self._now()
        there = http_date(answer.headers.get("Date", ""))
        if there is None:
            return None
        offset = there + timedelta(seconds=0.5) - (before + (after - before) / 2)
        return offset if abs(offset) > timedelta(seconds=_UNSURE_SECONDS) + (after - before) / 2 else timedelta(0)

    def _tell(self, offset: timedelta) -> None:
        if abs(offset) < timedelta(seconds=TOLD_SECONDS):
            return
        if self._told is None or abs(offset - self._told) > timedelta(seconds=TOLD_SECONDS):
            self._told = offset
            self._warn(
                f"{offset_in_words(offset)}: rounds are judged by the server's clock; set the clock of this machine"
            )


def offset_in_words(offset: timedelta) -> str:
    """An offset for people, such as `this machine's clock is 60 min ahead of the tournament's`."""
    where = "behind" if offset > timedelta(0) else "ahead of"
    return f"this machine's clock is {abs(offset.total_seconds()) / 60:.0f} min {where} the tournament's"
