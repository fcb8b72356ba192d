"""Which alarms over live scores were raised, so that each is sent once: a file beside the scores of the slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.livescores.watch import RATE, LiveStanding

FILE = "alarms.json"


@dataclass(frozen=True)
class LiveAlarm:
    """Scores that are lower than their promise allows.

    Attributes:
        first_round, last_round: of the year that is watched, as far as it has come.
        date: of the look that raised it, ISO 8601.
        total, expected: sum of the scores, and what was promised of it.
        chance: how likely scores as low as these are where the promise holds.
        level: below which that is an alarm.
    """

    first_round: int
    last_round: int
    date: str
    total: float
    expected: float
    chance: float
    level: float


def new_alarms(folder: Path, years: Sequence[LiveStanding]) -> list[LiveAlarm]:
    """The alarms that were not raised before; a year of rounds raises one."""
    known = {each.first_round for each in raised_alarms(folder)}
    return [_alarm(year, look) for year in years if (look := year.alarm) is not None and year.rounds[0] not in known]


def raised_alarms(folder: Path) -> list[LiveAlarm]:
    """Those that were raised, the oldest first; what cannot be read is left out."""
    found = []
    entries: Any = (read_object(folder / FILE) or {}).get("alarms") or []
    for entry in entries:
        try:
            found.append(LiveAlarm(**entry))
        except TypeError:
            continue
    return found


def note_alarm(folder: Path, alarm: LiveAlarm) -> None:
    """It was raised."""
    write_json(folder / FILE, {"alarms": [asdict(each) for each in [*raised_alarms(folder), alarm]]})


def alarm_text(alarm: LiveAlarm, slot: str) -> str:
    """What people are told: what was seen, how sure that is, and what to do."""
    return (
        f"the live CORR of {slot} from round {alarm.first_round} to {alarm.last_round} is lower than its backtests "
        f"promised: {alarm.total:+.3f} in sum where {alarm.expected:+.3f} was promised ({alarm.date}). Scores that are "
        f"as promised stand so low on one day in {1 / max(alarm.chance, 1e-9):,.0f}, and raise this alarm in about "
        f"{RATE:.0%} of all years. Look at `eraflow live`, at the features of the last weeks and at the members; "
        "`eraflow models rollback` brings an earlier champion back. It is said once a year of rounds."
    )


def _alarm(year: LiveStanding, look: int) -> LiveAlarm:
    return LiveAlarm(
        year.rounds[0],
        year.rounds[-1],
        str(year.dates[look]),
        float(year.total[look]),
        float(year.expected[look]),
        float(year.chance[look]),
        year.level,
    )
