"""What a call and a validation would take, and which members to drop where a model does not fit Numerai's computer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eraflow.rehearsal.confinedrun import Room
from eraflow.rehearsal.liveframes import LIVE_ROWS

VALIDATION_ROWS = 4_135_000
"""Of the validation set that Numerai scores an upload on: 14.7 GB as int8 of 3,555 features."""
LEAST_EACH = 1e-3
"""Seconds and MiB of a further era where none were measured."""


def eras_that_fit(live: Mapping[str, Any], many: Mapping[str, Any], room: Room) -> dict[str, int]:
    """How many eras one call could take, by the time and by the memory: a line through one era and several."""
    each, held = _each(live, many)
    return {
        "time": 1 + math.floor(max(room.seconds - live["seconds"], 0.0) / each),
        "memory": 1 + math.floor(max(room.memory_mb - live["peak_mb"], 0.0) / held),
    }


def _each(live: Mapping[str, Any], many: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds and MiB of one further era."""
    more = many["eras"] - 1
    return (
        max((many["seconds"] - live["seconds"]) / more, LEAST_EACH),
        max((many["peak_mb"] - live["peak_mb"]) / more, LEAST_EACH),
    )


def next_eras(tried: int, most: int, fit: Mapping[str, int]) -> int | None:
    """How many eras are tried after `tried`: twice as many, within `most` and what is extrapolated to fit; or None."""
    coming = min(2 * tried, most)
    return coming if tried < coming <= min(fit["time"], fit["memory"]) else None


def validation_needs(live: Mapping[str, Any], many: Mapping[str, Any], fit: Mapping[str, int]) -> dict[str, float]:
    """The validation set, extrapolated from what was measured.

    How Numerai cuts it is unknown; in one call it would not fit 4 GB as a frame.

    Returns:
        rows; eras of as many rows as the live one had; calls, as few as time and memory of a call allow; seconds of
        one processor in all.
    """
    rows = max(int(live.get("rows") or LIVE_ROWS), 1)
    eras = math.ceil(VALIDATION_ROWS / rows)
    each, _ = _each(live, many)
    calls = math.ceil(eras / max(min(fit.values()), 1))
    seconds = calls * max(live["seconds"] - each, 0.0) + eras * each
    return {"rows": VALIDATION_ROWS, "eras": eras, "calls": calls, "seconds": round(seconds, 1)}


def fewest_to_drop(
    estimate: Mapping[str, Any], room: Room, *, seconds: float | None = None, memory_mb: float | None = None
) -> list[str]:
    """The fewest members without which a model fits, those that free the most first; the order in which to drop them.

    Args:
        estimate: cpu_seconds, memory_mb and members (name -> cpu_seconds, memory_mb), as the export has it.
        room: what Numerai gives.
        seconds, memory_mb: what the whole took, or at least took before it was ended; None: as was estimated. Where it
            is more than the estimate, each member is taken to need as much more.

    Returns:
        Names; all but one at the most, and then what is left may still not fit.
    """
    members = {name: dict(told) for name, told in (estimate.get("members") or {}).items()}
    over = {
        "cpu_seconds": _scaled(members, "cpu_seconds", estimate["cpu_seconds"], seconds) - room.seconds,
        "memory_mb": _scaled(members, "memory_mb", estimate["memory_mb"], memory_mb) - room.memory_mb,
    }
    dropped: list[str] = []
    while len(members) > 1 and any(excess > 0 for excess in over.values()):
        scarce = [(name, limit) for name, limit in (("cpu_seconds", room.seconds), ("memory_mb", room.memory_mb))]
        worst = max(
            members, key=lambda one: sum(members[one][name] / limit for name, limit in scarce if over[name] > 0)
        )
        freed = members.pop(worst)
        over = {name: excess - freed[name] for name, excess in over.items()}
        dropped.append(worst)
    return dropped


def _scaled(members: Mapping[str, dict[str, float]], name: str, expected: float, found: float | None) -> float:
    """The whole as it was found, where that is more than expected; members are made so much larger, too."""
    if found is None or found <= expected:
        return expected
    own = sum(told[name] for told in members.values())
    factor = 1 + (found - expected) / own if own > 0 else 1.0
    for told in members.values():
        told[name] *= factor
    return found


def members_in_words(estimate: Mapping[str, Any]) -> list[str]:
    """A line a member, the most expensive first: what it is expected to take of a live era."""
    members = sorted((estimate.get("members") or {}).items(), key=lambda item: -item[1]["cpu_seconds"])
    return [f"{name}: {told['cpu_seconds']:.1f} seconds, {told['memory_mb']:.0f} MiB" for name, told in members]


def dropping_in_words(dropped: list[str]) -> str:
    """What to do, in a sentence; nothing where nothing has to go."""
    if not dropped:
        return ""
    return f"the fewest to drop until it fits: {', '.join(dropped)}"
