"""Eras, the purge between them, and the walk-forward windows on which every model is judged.

An era is one week, labelled by a zero-padded string ("0574"; the live era is "X"). A target of d days looks d trading
days ahead, so the labels of neighbouring eras overlap: a model that is judged on era b must not have seen the eras
just before it. How many weeks are left out between the two is the purge.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from eraflow.data.judgedblocks import even_edges, fixed_edges
from eraflow.errors import EraflowError
from eraflow.settings.windows import WindowSettings

ALIAS_TARGET = "target"
LIVE_ERA = "X"
TRADING_DAYS_PER_WEEK = 5
PURGE_MARGIN_WEEKS = 4
"""Weeks beyond the label itself: 4 + 4 = 8 for 20 days, 12 + 4 = 16 for 60 days, the tournament's own advice."""


class AliasTargetError(EraflowError):
    """The column `target` points at whatever Numerai pays for now; it is used only with its horizon said aloud."""

    code = "alias_target"
    exit_code = 2


class UnknownHorizonError(EraflowError):
    """The name of a target does not end in its horizon in days."""

    code = "unknown_horizon"
    exit_code = 2


class PurgeTooSmallError(EraflowError):
    """The purge of the settings is shorter than the overlap of the labels needs. Leave it empty."""

    code = "purge_too_small"
    exit_code = 2


class TooFewErasError(EraflowError):
    """There are not enough resolved eras for the windows of the settings."""

    code = "too_few_eras"
    exit_code = 2


class UnorderedErasError(EraflowError):
    """Eras are not in rising order, or an era is scattered over separate places or files."""

    code = "unordered_eras"


class BadEraError(EraflowError):
    """An era label is null, or neither a zero-padded number nor the live era X."""

    code = "bad_era"


@dataclass(frozen=True)
class Window:
    """One fold: the eras learned from and, after the purge, the eras judged on. Labels as in the files, in order."""

    index: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    purge_weeks: int


def era_number(era: str) -> int:
    """The number of the week that an era label stands for.

    Raises:
        BadEraError: for the live era "X" and for anything else that is not a number.
    """
    if not (isinstance(era, str) and era.isascii() and era.isdigit()):
        raise BadEraError(
            f"era {era!r} has no number", "pass resolved eras only (zero-padded numbers; the live era X is never one)"
        )
    return int(era)


def target_horizon(target: str, alias_horizon: int | None = None) -> int:
    """The horizon in trading days that a target's name states: 60 for `target_ender_60`.

    Args:
        target: column name.
        alias_horizon: what the alias `target` stands for now; needed for the alias, contradicts any other name.

    Raises:
        AliasTargetError: the alias without a horizon, or a horizon that contradicts the name.
        UnknownHorizonError: the name does not end in `_<days>`.
    """
    if target == ALIAS_TARGET:
        if alias_horizon is None:
            raise AliasTargetError(
                "the target is the alias `target`, whose meaning Numerai changes in place",
                "name the target itself (such as target_ender_60), or set data.alias_horizon to 20 or 60",
            )
        return alias_horizon
    found = re.search(r"_(\d+)$", target)
    if found is None or int(found[1]) == 0:
        raise UnknownHorizonError(
            f"the horizon of {target!r} cannot be read from its name", "use a target that ends in _20 or _60"
        )
    if alias_horizon not in (None, int(found[1])):
        raise AliasTargetError(
            f"data.alias_horizon is {alias_horizon} days, but {target!r} has {found[1]}",
            "leave data.alias_horizon empty: it belongs to the alias `target` alone",
        )
    return int(found[1])


def purge_weeks(horizon_days: int) -> int:
    """The least number of weekly eras between training and judging: 8 for 20 days, 16 for 60 days."""
    if horizon_days < 1:
        raise UnknownHorizonError(f"a horizon of {horizon_days} days", "use a positive number of trading days")
    return -(-horizon_days // TRADING_DAYS_PER_WEEK) + PURGE_MARGIN_WEEKS


def target_purge(target: str, otherwise: int) -> int:
    """How far the labels of a target reach, with the margin, in weeks.

    Args:
        target: whose name tells it.
        otherwise: for the alias `target`, whose name does not.
    """
    return otherwise if target == ALIAS_TARGET else purge_weeks(target_horizon(target))


def effective_purge(horizon_days: int, wanted: int | None) -> int:
    """The purge to use: `wanted`, or the lower bound of the horizon when it is None. In weeks.

    Raises:
        PurgeTooSmallError: when `wanted` lies below the lower bound.
    """
    least = purge_weeks(horizon_days)
    if wanted is not None and wanted < least:
        raise PurgeTooSmallError(
            f"windows.purge_weeks is {wanted}, but a {horizon_days}-day target needs at least {least}",
            "leave windows.purge_weeks empty, or raise it",
        )
    return least if wanted is None else wanted


def member_purge(horizon_days: int, wanted: int | None) -> int:
    """The purge of a member that learns another target than the run's own, in weeks.

    `wanted` is windows.purge_weeks, which was chosen for the run's own target: here it can lengthen, never shorten.
    """
    return max(purge_weeks(horizon_days), wanted or 0)


def eras_before(eras: Sequence[str], first_test: str, purge: int) -> tuple[str, ...]:
    """Those of `eras` that lie more than `purge` weeks before `first_test`, counted by era numbers."""
    limit = era_number(first_test) - purge
    return tuple(era for era in eras if era_number(era) < limit)


def check_ordered(eras: Sequence[str]) -> None:
    """Raise UnorderedErasError unless the era numbers rise strictly, BadEraError when a label has no number."""
    numbers = [era_number(era) for era in eras]
    for (before, after), (number, next_number) in zip(pairwise(eras), pairwise(numbers), strict=True):
        if next_number <= number:
            raise UnorderedErasError(f"era {after} comes after era {before}", "pass each era once, in rising order")


def walk_forward(
    eras: Sequence[str], horizon_days: int, settings: WindowSettings, *, stride: int = 1, even: bool = False
) -> list[Window]:
    """Cut resolved eras into windows: learn from the past, leave out the purge, judge on the next block.

    The blocks of judged eras are contiguous, disjoint and together hold every era from the first judged one to the
    last. Their borders stay where they are when another era is added (eraflow/data/judgedblocks.py), so all windows but
    the newest are those of the week before, until a new block begins and the oldest falls off. The purge counts weeks,
    not entries: a train era a and a judged era b obey `number(b) - number(a) > purge`, also when `eras` itself has
    gaps.

    Args:
        eras: resolved eras in rising order.
        horizon_days: horizon of the target.
        settings: kind, folds, where judging begins, length of a sliding window, purge.
        stride: learn from every n-th era only, counted from the first of `eras`; judged eras are never thinned.
            The length of a sliding window counts the eras that are learned from.
        even: blocks of one length, from exactly where judging may begin; with another era all of them move.

    Raises:
        PurgeTooSmallError, TooFewErasError, UnorderedErasError, BadEraError.
    """
    purge = effective_purge(horizon_days, settings.purge_weeks)
    check_ordered(eras)
    first = int(len(eras) * settings.first_test_fraction)
    return _windows(_blocks(eras, first, settings, even=even), eras, purge, settings, stride)


def windows_before(
    judged: Sequence[Window], eras: Sequence[str], horizon_days: int, settings: WindowSettings, *, stride: int = 1
) -> list[Window]:
    """What a learner of another target learns from, to be judged on the same eras as everybody.

    Leakage is a matter of the target that is learnt: its label at era a looks `horizon_days` ahead, and must not reach
    the judged era. So the purge is that of this target. `settings.purge_weeks` can lengthen it, never shorten it.

    Args:
        judged: the windows of the run's own target; only their judged eras count.
        eras: eras in which the learner's target is known, in rising order.
        horizon_days: horizon of the learner's target.
        settings, stride: as for `walk_forward`.

    Raises:
        TooFewErasError: a window would learn from nothing, or from less than the stated length of a sliding window.
        UnorderedErasError, BadEraError.
    """
    check_ordered(eras)
    purge = member_purge(horizon_days, settings.purge_weeks)
    return _windows([window.test for window in judged], eras, purge, settings, stride)


def _windows(
    blocks: Sequence[tuple[str, ...]], eras: Sequence[str], purge: int, settings: WindowSettings, stride: int
) -> list[Window]:
    candidates = eras[:: _checked_stride(stride)]
    length = _sliding_length(candidates, blocks[0][0], purge, settings)
    windows = []
    for index, test in enumerate(blocks):
        train = eras_before(candidates, test[0], purge)
        if len(train) < max(1, length or 1):
            raise _too_little_training(eras, test[0], len(train), length, purge)
        windows.append(Window(index, tuple(train if length is None else train[-length:]), test, purge))
    return windows


def final_eras(
    eras: Sequence[str], settings: WindowSettings | None = None, *, stride: int = 1, from_first: bool = False
) -> tuple[str, ...]:
    """The eras of the final fit for the live era: every resolved era, thinned by `stride` so that the last one stays.

    With `from_first` they are thinned so that the first one stays, as in the windows: then they are the same from week
    to week, and new ones are added.

    With sliding windows of a stated length, the last `train_eras` of them, because that is what was judged. No purge
    is needed: the labels of resolved eras lie in the past, those of the live era in the future.
    """
    check_ordered(eras)
    step = _checked_stride(stride)
    chosen = tuple(eras[::step]) if from_first else tuple(eras[::-step])[::-1]
    if settings is not None and settings.kind == "sliding" and settings.train_eras is not None:
        return chosen[-settings.train_eras :]
    return chosen


def _checked_stride(stride: int) -> int:
    if stride < 1:
        raise TooFewErasError(f"a stride of {stride} keeps no eras", "set data.era_stride to 1 or more")
    return stride


def _blocks(eras: Sequence[str], first: int, settings: WindowSettings, *, even: bool) -> list[tuple[str, ...]]:
    left, folds = len(eras) - first, settings.folds
    if left < folds:
        raise TooFewErasError(
            f"{len(eras)} resolved eras leave {left} to judge on, fewer than the {folds} windows",
            "use more eras, lower windows.folds, or lower windows.first_test_fraction",
        )
    weeks = [era_number(era) for era in eras]
    edges = even_edges(len(eras), first, folds) if even else fixed_edges(weeks, first, folds)
    return [tuple(eras[start:stop]) for start, stop in pairwise(edges)]


def _sliding_length(candidates: Sequence[str], first_test: str, purge: int, settings: WindowSettings) -> int | None:
    """Length of a sliding window (without `train_eras`: as long as the first window can be); None when expanding."""
    if settings.kind == "expanding":
        return None
    return settings.train_eras or max(1, len(eras_before(candidates, first_test, purge)))


def _too_little_training(
    eras: Sequence[str], first_test: str, found: int, length: int | None, purge: int
) -> TooFewErasError:
    wanted = f"a sliding window of {length}" if length else "training"
    span = f"{len(eras)} resolved eras ({eras[0]} to {eras[-1]})" if eras else "no eras"
    return TooFewErasError(
        f"{span} leave {found} for {wanted} before the first judged era {first_test} and its purge of {purge} weeks",
        "use more eras, raise windows.first_test_fraction, or lower windows.train_eras and data.era_stride",
    )
