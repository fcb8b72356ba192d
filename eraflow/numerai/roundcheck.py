"""Whether the round is what the settings are made for: its target, its horizon, and the version of its data."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eraflow.numerai.rounds import Round
from eraflow.settings.data import DataSettings

ALIAS = "target"
_TARGET = re.compile(r"^(?:target_)?([a-z][a-z0-9]*?)_?(20|60)$")
_VERSION = re.compile(r"^v(\d+)\.(\d+)(?:/|$)")


def differences(found: Round, data: DataSettings, offered: Sequence[str]) -> list[str]:
    """What the round says otherwise than the settings, a sentence each; the same sentence in each round.

    What cannot be read as a target or a version is no difference: the API may name things in a new way.

    Args:
        found: the round.
        data: target and version of the settings.
        offered: names of the files that are offered, such as `v5.3/live.parquet`.
    """
    return [*_target(found, data), *_version(data.version, offered)]


def _target(found: Round, data: DataSettings) -> list[str]:
    theirs, mine = _parsed(found.target), _parsed(data.target)
    if theirs is not None and mine is not None:
        told = f"the round is scored on {found.target}, the settings say data.target={data.target}"
        return [] if theirs == mine else [told]
    my_days = data.alias_horizon if data.target == ALIAS else mine[1] if mine else None
    paid = {theirs[1]} if theirs else _paid_days(found)
    if my_days is None or not paid or my_days in paid:
        return []
    days = " and ".join(str(each) for each in sorted(paid))
    return [f"the round pays scores over {days} days, the settings are for {my_days} days ({data.target})"]


def _parsed(target: str | None) -> tuple[str, int] | None:
    """Name and days of a target, as `target_ender_60`, `ender_60` or `ender60`."""
    match = _TARGET.match((target or "").strip().lower())
    return (match[1], int(match[2])) if match else None


def _paid_days(found: Round) -> set[int]:
    """The horizons of the scores that the round pays: 60 for corr60 and mmc60."""
    ends = (re.search(r"(20|60)$", name) for name in found.multipliers)
    return {int(end[1]) for end in ends if end}


def _version(mine: str, offered: Sequence[str]) -> list[str]:
    own = _VERSION.match(mine)
    known = [(int(match[1]), int(match[2])) for name in offered if (match := _VERSION.match(name))]
    if own is None or not known or max(known) <= (int(own[1]), int(own[2])):
        return []
    return [f"data version v{max(known)[0]}.{max(known)[1]} is offered, the settings say data.version={mine}"]
