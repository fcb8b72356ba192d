"""Rounds: which one is open, until when, and what it pays, as the API says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from numerapi import NumerAPI

from eraflow.numerai.answers import RoundRow, question
from eraflow.numerai.errors import ApiRefusedError, OddAnswerError, RoundClosedError, TournamentError
from eraflow.numerai.graphql import NEWER, GraphQLClient

# What the API says between rounds, in this or similar words: "Current round not open for submissions".
BETWEEN_ROUNDS = re.compile(r"not open|no (current|open|active) round|between rounds|round (is|has) closed", re.I)
# The query of numerapi's list_rounds, as far as the answer is used; that one trips over nulls.
_QUERY = """
    query($tournament: Int
          $number: Int
          $status: RoundStatus) {
        rounds(tournament: $tournament
               number: $number
               status: $status) {
            number
            target
            openTime
            closeTime
            closeStakingTime
            payoutFactor
            dataDatestamp
            roundScoreConfigs {
                name
                isPayout
                defaultMultiplier
                clipThreshold
            }
        }
    }
"""
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
        payout_clip: what an era pays or loses at most, as a share of the stake; None when not known.
        data_datestamp: date stamp of its data (an integer such as 20261121), None when not known.
    """

    number: int
    open_time: datetime
    close_time: datetime
    is_open: bool
    target: str | None = None
    multipliers: dict[str, float] = field(default_factory=dict)
    payout_factor: float | None = None
    payout_clip: float | None = None
    data_datestamp: int | None = None


def parse_round(row: RoundRow, now: datetime) -> Round:
    """A round as the API tells it.

    Raises:
        OddAnswerError: it does not tell until when submissions are taken.
    """
    closes = row.close_staking_time or row.close_time
    if closes is None:
        raise OddAnswerError(f"round {row.number}: neither closeStakingTime nor closeTime is told", NEWER)
    configs = [config for config in row.score_configs or [] if config]
    return Round(
        number=row.number,
        open_time=row.open_time,
        close_time=closes,
        is_open=row.open_time < now < closes,
        target=row.target,
        multipliers={
            config.name: config.default_multiplier
            for config in configs
            if config.is_payout and config.default_multiplier is not None
        },
        payout_factor=row.payout_factor,
        payout_clip=min(
            (one for config in configs if config.is_payout and (one := config.clip_threshold)), default=None
        ),
        data_datestamp=row.data_datestamp,
    )


def current_round(graphql: GraphQLClient, now: datetime) -> Round | None:
    """The current round, or None between two rounds."""
    try:
        rows = graphql.ask("reading the current round", _rounds(number=0))
    except ApiRefusedError as error:
        if BETWEEN_ROUNDS.search(error.problem):
            return None
        raise
    return parse_round(rows[0], now) if rows and rows[0] else None


def _rounds(**wanted: Any) -> Callable[[NumerAPI], list[RoundRow | None]]:
    return question(_QUERY, "rounds", list[RoundRow | None], wanted)


def coming_round(graphql: GraphQLClient, now: datetime) -> Round | None:
    """The round that opens next, as far as the API tells it ahead; its multipliers may not be told yet."""
    rows = graphql.ask("reading the upcoming rounds", _rounds(status="UPCOMING"))
    ahead = [row for row in rows if row and row.open_time > now and (row.close_staking_time or row.close_time)]
    return parse_round(min(ahead, key=lambda row: row.open_time), now) if ahead else None


def next_opening(graphql: GraphQLClient, now: datetime) -> str:
    """When the next round opens, as far as the API tells: a clause for people."""
    try:
        rows = graphql.ask_once("reading the upcoming rounds", _rounds(status="UPCOMING"))
    except TournamentError as error:
        return f"when the next one opens is not known ({error.problem})"
    openings = [row.open_time for row in rows if row and row.open_time > now]
    return f"the next one opens at {_show(min(openings))}" if openings else "the API does not tell when the next opens"


def wait_for_round(
    graphql: GraphQLClient, wait_seconds: float, poll_seconds: float, now: Callable[[], datetime]
) -> Round:
    """Poll until a round is open: real openings drift by more than an hour.

    A server that fails while we wait is asked again at the next look.

    Raises:
        RoundClosedError: none opened within `wait_seconds`.
    """
    policy = graphql.policy
    started = policy.clock()
    said = ("", -_SAY_AGAIN_SECONDS)
    while True:
        closed = _look(graphql, now())
        if isinstance(closed, Round):
            return closed
        waited = policy.clock() - started
        if waited >= wait_seconds:
            raise _give_up(closed, wait_seconds)
        if closed.problem != said[0] or waited - said[1] >= _SAY_AGAIN_SECONDS:
            left = (wait_seconds - waited) / 60
            policy.log(
                f"waiting for a round to open: {closed.problem}; looking every {poll_seconds:g} s, "
                f"for another {left:.0f} min"
            )
            said = (closed.problem, waited)
        policy.sleep(min(poll_seconds, wait_seconds - waited))


def _look(graphql: GraphQLClient, now: datetime) -> Round | TournamentError:
    """The open round, or why there is none. A lasting error (such as a wrong key) is raised."""
    try:
        found = current_round(graphql, now)
    except TournamentError as error:
        if not error.passing or isinstance(error, OddAnswerError):  # asked several times by now
            raise
        return error
    return found if found is not None and found.is_open else closed_error(graphql, found, now)


def closed_error(graphql: GraphQLClient, found: Round | None, now: datetime) -> RoundClosedError:
    """The error that tells which round is closed, and when the next one opens."""
    if found is not None and now <= found.open_time:
        problem = f"round {found.number} is not open yet; it opens at {_show(found.open_time)}"
    elif found is not None:
        problem = f"round {found.number} closed at {_show(found.close_time)}; {next_opening(graphql, now)}"
    else:
        problem = f"no round is open; {next_opening(graphql, now)}"
    return RoundClosedError(
        problem, "rounds open Tuesday to Saturday from 12:00 UTC: run again then, or raise round.wait_minutes"
    )


def _give_up(closed: TournamentError, wait_seconds: float) -> TournamentError:
    return type(closed)(f"{closed.problem} (waited {wait_seconds / 60:.0f} min)", closed.remedy)


def _show(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
