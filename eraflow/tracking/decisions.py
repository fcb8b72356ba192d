"""What was decided about the champion of a seat, by whom, when and why: a log in the registry, and what it says.

The log stands in a tag of the registered model, the newest last. It is written before the alias is moved, so an entry
may be without effect where a process died in between: the alias alone says who is the champion, and `before` reads the
log in that light.
"""

from __future__ import annotations

import getpass
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from eraflow.tracking.championseat import Seat
from eraflow.tracking.mlflowlink import NothingThereError
from eraflow.tracking.tracking import Tracker

Kind = Literal["shipped", "promoted", "rolled back", "challenger", "recipe"]
LONGEST = 200
"""Entries that are kept: four years of weeks, in less than a third of what MLflow takes in a tag (100,000 signs)."""
WHY_LENGTH = 200


@dataclass(frozen=True)
class ChampionDecision:
    """One entry.

    Attributes:
        what: was decided.
        version: who is the champion, or the challenger, after it.
        at: ISO 8601, UTC.
        by: user and computer.
        why: in the words of whoever decided; empty where none were given.
    """

    what: Kind
    version: int
    at: str
    by: str
    why: str


def decided(what: Kind, version: int, why: str = "") -> ChampionDecision:
    """A decision of this user, now."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number without a name
        user = "unknown"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return ChampionDecision(
        what, version, at, f"{user}@{platform.node() or 'unknown'}", " ".join(why.split())[:WHY_LENGTH]
    )


def before(log: Sequence[ChampionDecision], champion: int) -> int | None:
    """The version that was the champion before this one; None where the log knows of none.

    Each version that was shipped or promoted stands upon the one before it, and a rollback takes the uppermost away.
    """
    pile: list[int] = []
    for decision in log:
        if decision.what in ("shipped", "promoted") and decision.version not in pile[-1:]:
            pile.append(decision.version)
        elif decision.what == "rolled back" and decision.version in pile:
            _cut(pile, decision.version)
    _cut(pile, champion)
    others = [version for version in pile if version != champion]
    return others[-1] if others else None


def _cut(pile: list[int], version: int) -> None:
    """Take away what stands upon a version; nothing where it is not in the pile."""
    if version in pile:
        del pile[len(pile) - pile[::-1].index(version) :]


def read_log(tracker: Tracker, seat: Seat | None) -> list[ChampionDecision]:
    """The log of a seat, the oldest first; what cannot be read of it is left out.

    Raises:
        TrackingError: MLflow cannot be read.
    """
    try:
        tags = tracker.link.call("get_registered_model", tracker.settings.registered_model).tags
    except NothingThereError:
        return []
    return _parsed(dict(tags).get(_tag(seat), "[]"))


def note(tracker: Tracker, seat: Seat | None, decision: ChampionDecision) -> None:
    """Append a decision; the caller holds the turn of the registry.

    Raises:
        TrackingError: MLflow cannot be written.
    """
    log = [*read_log(tracker, seat), decision][-LONGEST:]
    text = json.dumps([asdict(each) for each in log])
    tracker.link.call("set_registered_model_tag", tracker.settings.registered_model, _tag(seat), text)


def _tag(seat: Seat | None) -> str:
    return f"decisions-{seat.key if seat is not None else 'any'}"


def _parsed(text: str) -> list[ChampionDecision]:
    try:
        entries: Any = json.loads(text)
    except ValueError:
        return []
    found = []
    for entry in entries if isinstance(entries, list) else []:
        try:
            found.append(ChampionDecision(**entry))
        except TypeError:
            continue
    return found
