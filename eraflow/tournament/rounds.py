"""Rounds: which one is open, until when, and what it pays, as the API says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from numerapi import NumerAPI

from eraflow.tournament.api_errors import ApiRefusedError, RoundClosedError, ServerFaultError, TournamentError
from eraflow.tournament.wire import Wire

# What the API says between rounds, in this or similar words: "Current round not open for submissions".
BETWEEN_ROUNDS = re.compile(r"not open|no (current|open|active) round|between rounds|round (is|has) closed", re.I)
_SAY_AGAIN_SECONDS = 600.0  # a long wait says every ten minutes that it still waits


@dataclass(frozen=True)
class Round:
    """One round of the tournament.

    Attributes:
        number: round number.
        open_time, close_time: when submissions that can be staked are taken (UTC).
        is_open: whether that was so when the round was read.
        target: the target it is scored on, as the API names it.
        multipliers: name of each paid score -> default multiplier.
        payout_factor: current payout factor, None when not known.
        data_datestamp: date stamp of its data (an integer such as 20261121), None when not known.
    """

    number: int
    open_time: datetime
    close_time: datetime
    is_open: bool
    target: str | None = None
    multipliers: dict[str, float] = field(default_factory=dict)
    payout_factor: float | None = None
    data_datestamp: int | None = None


def parse_round(row: Mapping[str, Any], now: datetime) -> Round:
    """A row of `list_rounds` as a Round.

    Raises:
        ServerFaultError: the row lacks its number or its opening time.
    """
    opens, closes = _utc(row.get("openTime")), _utc(row.get("closeStakingTime") or row.get("closeTime"))
    if row.get("number") is None or opens is None or closes is None:
        raise ServerFaultError(
            f"a round without number, openTime or closeStakingTime: {sorted(k for k, v in row.items() if v is None)}",
            "run again later; if it stays so, the API may have changed: look for a newer Eraflow",
        )
    configs = [config for config in row.get("roundScoreConfigs") or [] if config]
    return Round(
        number=int(row["number"]),
        open_time=opens,
        close_time=closes,
        is_open=opens < now < closes,
        target=row.get("target"),
        multipliers={
            str(config["name"]): float(config["defaultMultiplier"])
            for config in configs
            if config.get("isPayout") and config.get("defaultMultiplier") is not None
        },
        payout_factor=None if row.get("payoutFactor") is None else float(row["payoutFactor"]),
        data_datestamp=None if row.get("dataDatestamp") is None else int(row["dataDatestamp"]),
    )


def current_round(wire: Wire, now: datetime) -> Round | None:
    """The current round, or None between two rounds."""
    try:
        row = wire.ask("reading the current round", _current_row)
    except ApiRefusedError as error:
        if BETWEEN_ROUNDS.search(error.problem):
            return None
        raise
    return None if row is None else parse_round(row, now)


def _current_row(api: NumerAPI) -> Mapping[str, Any] | None:
    try:
        rows: list[Mapping[str, Any]] = api.list_rounds(number=0)
    except TypeError:
        # list_rounds trips over `rounds: [null]`, which is another way of saying "none"; get_current_round does not
        if api.get_current_round() is None:
            return None
        raise
    return rows[0] if rows else None


def next_opening(wire: Wire, now: datetime) -> str:
    """When the next round opens, as far as the API tells: a clause for people."""
    try:
        rows = wire.ask_once("reading the upcoming rounds", lambda api: api.list_rounds(status="upcoming"))
    except TournamentError as error:
        return f"when the next one opens is not known ({error.problem})"
    openings = [opening for row in rows if row and (opening := _utc(row.get("openTime"))) and opening > now]
    return f"the next one opens at {_show(min(openings))}" if openings else "the API does not tell when the next opens"


def wait_for_round(wire: Wire, wait_seconds: float, poll_seconds: float, now: Callable[[], datetime]) -> Round:
    """Poll until a round is open: real openings drift by more than an hour.

    A server that fails while we wait is asked again at the next look.

    Raises:
        RoundClosedError: none opened within `wait_seconds`.
    """
    patience = wire.patience
    started = patience.clock()
    said = ("", -_SAY_AGAIN_SECONDS)
    while True:
        closed = _look(wire, now())
        if isinstance(closed, Round):
            return closed
        waited = patience.clock() - started
        if waited >= wait_seconds:
            raise _give_up(closed, wait_seconds)
        if closed.problem != said[0] or waited - said[1] >= _SAY_AGAIN_SECONDS:
            left = (wait_seconds - waited) / 60
            patience.log(
                f"waiting for a round to open: {closed.problem}; looking every {poll_seconds:g} s, "
                f"for another {left:.0f} min"
            )
            said = (closed.problem, waited)
        patience.sleep(min(poll_seconds, wait_seconds - waited))


def _look(wire: Wire, now: datetime) -> Round | TournamentError:
    """The open round, or why there is none. A lasting error (such as a wrong key) is raised."""
    try:
        found = current_round(wire, now)
    except TournamentError as error:
        if not error.passing:
            raise
        return error
    return found if found is not None and found.is_open else closed_error(wire, found, now)


def closed_error(wire: Wire, found: Round | None, now: datetime) -> RoundClosedError:
    """The error that tells which round is closed, and when the next one opens."""
    if found is not None and now <= found.open_time:
        problem = f"round {found.number} is not open yet; it opens at {_show(found.open_time)}"
    elif found is not None:
        problem = f"round {found.number} closed at {_show(found.close_time)}; {next_opening(wire, now)}"
    else:
        problem = f"no round is open; {next_opening(wire, now)}"
    return RoundClosedError(
        problem, "rounds open Tuesday to Saturday from 12:00 UTC: run again then, or raise round.wait_minutes"
    )


def _give_up(closed: TournamentError, wait_seconds: float) -> TournamentError:
    return type(closed)(f"{closed.problem} (waited {wait_seconds / 60:.0f} min)", closed.remedy)


def _utc(value: Any) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _show(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
