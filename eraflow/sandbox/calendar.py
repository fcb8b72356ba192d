"""Rounds of the sandbox: one that matters now, and a few before it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

TOURNAMENT = 8
_PAST_ROUNDS = 4
_RESOLVES_AFTER = timedelta(days=88)
_HOUR = 3600.0
# Scores that are computed but not paid, as on Numerai beside the paid ones.
_UNPAID = ("corr20", "mmc20", "bmc60", "fncv3")


@dataclass(frozen=True)
class RoundSpec:
    """What the sandbox's current round is to look like.

    Attributes:
        state: "open" now, or "closed": between two rounds, the next one opens in three days.
        number: round number.
        opens_in: seconds from now until it opens; until then the tournament is between rounds. Negative: it opened
            so long ago; 0: an hour ago.
        open_seconds: how long submissions are taken.
        late_seconds: how long late ones are still taken afterwards, as Numerai does: scored, never staked.
        target: as the API names the round's target.
        multipliers: paid score -> default multiplier.
        payout_factor: what the round pays of its full payout.
    """

    state: Literal["open", "closed"] = "open"
    number: int = 1404
    opens_in: float = 0.0
    open_seconds: float = 24 * _HOUR
    late_seconds: float = 0.0
    target: str = "target_ender_60"
    multipliers: dict[str, float] = field(default_factory=lambda: {"corr60": 3.0, "mmc60": 15.0})
    payout_factor: float = 0.15


class Calendar:
    """Rounds around the clock's present. Times are seconds since 1970, UTC."""

    def __init__(self, spec: RoundSpec, clock: Callable[[], float]) -> None:
        self.spec = spec
        self._clock = clock
        now = clock()
        if spec.state == "closed":
            self.opens = now + 3 * 24 * _HOUR
        else:
            self.opens = now + (spec.opens_in or -_HOUR)
        start = max(now, self.opens)
        self.staking_closes = start + spec.open_seconds
        self.closes = self.staking_closes + spec.late_seconds

    def close(self) -> None:
        """End the round now, late submissions included."""
        self.staking_closes = self.closes = self._clock()

    def current(self) -> dict[str, Any] | None:
        """The round that takes submissions now, late ones included; None between rounds."""
        return self.row(self.spec.number) if self.opens <= self._clock() < self.closes else None

    @property
    def is_late(self) -> bool:
        """Whether submissions that come now are too late to be staked."""
        return self._clock() >= self.staking_closes

    def row(self, number: int) -> dict[str, Any]:
        """Any round by number, as the API's `Round`: earlier ones closed a day apart each."""
        shift = timedelta(days=self.spec.number - number)
        opens, staking, closes = (_moment(t) - shift for t in (self.opens, self.staking_closes, self.closes))
        if shift > timedelta(0):
            present = _moment(self._clock())
            staking = min(staking, present - shift)
            closes = min(closes, present - shift)
            opens = min(opens, staking - timedelta(hours=1))
        resolves = closes + _RESOLVES_AFTER
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"round/{number}")),
            "tournament": TOURNAMENT,
            "number": number,
            "target": self.spec.target,
            "openTime": iso(opens),
            "closeStakingTime": iso(staking),
            "closeTime": iso(closes),
            "scoreTime": iso(closes + timedelta(days=6)),
            "resolveTime": iso(resolves),
            "resolvedGeneral": False,
            "resolvedStaking": False,
            "payoutFactor": str(self.spec.payout_factor),
            "stakeThreshold": 72000.0,
            "dataDatestamp": int(opens.strftime("%Y%m%d")),
            "isDaily": opens.weekday() != 5,
            "roundScoreConfigs": self._score_configs(opens, resolves),
        }

    def rows(self, *, number: int | None, status: str | None, limit: int | None) -> list[dict[str, Any]]:
        """Rounds newest first, filtered as the API filters; `number` 0 is not understood here (see `current`)."""
        last = self.spec.number
        numbers = range(last, last - _PAST_ROUNDS - 1, -1) if number is None else [number]
        found = [n for n in numbers if n <= last and (status is None or self._status(n) == status)]
        return [self.row(n) for n in found][:limit]

    def _status(self, number: int) -> str:
        if number < self.spec.number or self._clock() >= self.closes:
            return "RESOLVING"
        return "OPEN" if self._clock() >= self.opens else "UPCOMING"

    def _score_configs(self, opens: datetime, resolves: datetime) -> list[dict[str, Any]]:
        paid = [(name, value) for name, value in self.spec.multipliers.items()]
        unpaid = [(name, 0.0) for name in _UNPAID if name not in self.spec.multipliers]
        return [self._score_config(name, value, opens, resolves) for name, value in paid + unpaid]

    def _score_config(self, name: str, multiplier: float, opens: datetime, resolves: datetime) -> dict[str, Any]:
        known = str(uuid.uuid5(uuid.NAMESPACE_URL, f"score/{name}"))
        return {
            "id": known,
            "scoreConfigId": known,
            "roundNumberStart": 1343,
            "roundNumberEnd": None,
            "name": name,
            "version": "1",
            "displayName": name,
            "totalScoreDays": 60 if name.endswith("60") else 20,
            "returnsLagDays": 2,
            "dataDelayDays": 1,
            "universe": "v5",
            "isCanonScore": True,
            "isPayout": multiplier != 0,
            "scoringStart": iso(opens + timedelta(days=6)),
            "scoringEnd": iso(resolves),
            "minMultiplier": multiplier,
            "maxMultiplier": multiplier,
            "defaultMultiplier": multiplier,
            "clipThreshold": 1.0,
            "stakeThreshold": 72000.0,
            "payoutFactor": self.spec.payout_factor,
        }


def iso(moment: datetime | float) -> str:
    """ISO 8601 with microseconds and Z, as the API writes times."""
    moment = _moment(moment) if isinstance(moment, float) else moment
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
