"""How long a champion may still be sent: its verdict ages, and a new week must have taken its place before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from eraflow.gate.verdict import Verdict
from eraflow.settings.gate import GateSettings


@dataclass(frozen=True)
class ChampionAge:
    """How old a champion is.

    Attributes:
        days: since it was judged.
        left: days until the gate's limit; below 0 when it is too old.
        ends: when that is.
        soon: whether it is time to tell of it.
    """

    days: float
    left: float
    ends: datetime
    soon: bool

    @property
    def words(self) -> str:
        """For people: its age, and the week in which another must have passed."""
        week = f"{self.ends:%Y-%m-%d}, week {self.ends:%V} of {self.ends:%G}"
        if self.left < 0:
            return f"it was judged {self.days:.0f} days ago and may not be sent any more since {week}"
        return f"it was judged {self.days:.0f} days ago and may be sent until {week}"


REFIT = "a week that passes takes its place: see why the last weeks did not (`eraflow runs`), and run one before"


def champion_age(verdict: Verdict, now: datetime, settings: GateSettings) -> ChampionAge:
    """The age of the champion by its verdict.

    Args:
        verdict: under which it was shipped.
        now: the time, with its time zone.
        settings: the limit, and how many days before it people are told.
    """
    judged = datetime.fromisoformat(verdict.created_at)
    age, limit = now - judged, timedelta(days=settings.champion_max_age_days)
    left = (limit - age) / timedelta(days=1)
    return ChampionAge(age / timedelta(days=1), left, judged + limit, left <= settings.champion_warn_days)
