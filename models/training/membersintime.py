"""Which members of a run are trained: those whose library is here, and of the optional ones those that will finish."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from eraflow.data.memberbag import planned_bag
from eraflow.errors import EraflowError
from eraflow.machine.resources import Resources
from eraflow.settings.models import ModelSettings
from eraflow.settings.run import RunSettings
from models.base.libraries import present_members, wanted_names
from models.training.datasize import DataSize, data_size
from models.training.hours import Means, member_hours, times_largest_fit

WORTH_TELLING_HOURS = 0.25


class TooLongError(EraflowError):
    """An optional member's training would not end within `machine.training_hours`, so it is left out.

    Raise the setting, name the member in `models`, or give it fewer updates.
    """

    code = "training_too_long"


@dataclass(frozen=True)
class MembersInTime:
    """What a run begins with.

    Attributes:
        settings: with the members that are trained.
        left_out: name -> why a member of the settings is not.
        hours: name -> hours that its training is reckoned to take, of those for which that is known.
        warnings: sentences for who starts it: who is left out, and that the others take longer than they may.
        reckoned: how long the training takes, in words; empty for a short one.
    """

    settings: RunSettings
    left_out: Mapping[str, EraflowError]
    hours: Mapping[str, float]
    warnings: tuple[str, ...]
    reckoned: str


def members_in_time(settings: RunSettings, resources: Resources) -> MembersInTime:
    """The members that this installation can train, and that end in time; nothing is downloaded or started for it.

    A member that is wanted (see `present_members`) is trained, however long it takes, with a warning.

    Raises:
        MissingLibraryError: a member that is wanted cannot be trained, or none is left.
        NoGpuError: the settings ask for a GPU, and there is none.
    """
    present, lacking = present_members(settings)
    left_out: dict[str, EraflowError] = dict(lacking)
    size, means = data_size(present), Means.of(resources, settings)
    if size is None:
        return MembersInTime(present, left_out, {}, left_out_words(left_out), "")
    known = {model.name: member_hours(model, size, present, means) for model in present.models}
    hours = {name: each for name, each in known.items() if each is not None}
    too_long = _too_long(present, hours, size, means)
    kept = [model for model in present.models if model.name not in too_long]
    left_out.update(too_long)
    own = {model.name: hours[model.name] for model in kept if model.name in hours}
    chosen = present.model_copy(update={"models": kept}) if too_long else present
    warnings = (*left_out_words(left_out), *_beyond(own, settings))
    told = "; ".join(one for one in (_in_all(own, kept, means), *_of_several_sets(kept, size, present, means)) if one)
    return MembersInTime(chosen, left_out, own, warnings, told)


def _too_long(
    settings: RunSettings, hours: Mapping[str, float], size: DataSize, means: Means
) -> dict[str, TooLongError]:
    """The optional members that go beyond the limit, in the order of the settings, and why."""
    limit = settings.machine.training_hours
    if limit is None:
        return {}
    wanted = wanted_names(settings)
    spent = needed = sum(each for name, each in hours.items() if name in wanted)
    found: dict[str, TooLongError] = {}
    for model in settings.models:
        mine = hours.get(model.name, 0.0)
        if model.name in wanted:
            continue
        needed += mine
        if spent + mine <= limit or not _others(settings, model, found):
            spent += mine
        else:
            found[model.name] = _reason(model, mine, (spent, needed, limit), size, means)
    return found


def _others(settings: RunSettings, model: ModelSettings, left_out: Mapping[str, object]) -> bool:
    """Whether a member would be left without this one."""
    return any(other.name not in left_out and other is not model for other in settings.models)


def _reason(
    model: ModelSettings, mine: float, sums: tuple[float, float, float], size: DataSize, means: Means
) -> TooLongError:
    """`sums`: hours of the members that stay, of all up to this one, and the limit."""
    spent, needed, limit = sums
    return TooLongError(
        f"{model.name} is reckoned to take {_hours(mine)} for {size.rows:,} rows x {size.columns:,} features with "
        f"{means.described()}, the members that stay {_hours(spent)}; machine.training_hours is {limit:g}",
        f"set machine.training_hours to at least {math.ceil(10 * needed) / 10:g}, or name {model.name} in `models` to "
        "train it all the same",
    )


def left_out_words(left_out: Mapping[str, EraflowError]) -> tuple[str, ...]:
    """A sentence for each member that is left out."""
    return tuple(f"{name} is left out: {error.problem}; {error.remedy}" for name, error in left_out.items())


def _beyond(hours: Mapping[str, float], settings: RunSettings) -> tuple[str, ...]:
    """That the members which are wanted take longer than they may, where they do."""
    total, limit = sum(hours.values()), settings.machine.training_hours
    if limit is None or total <= limit:
        return ()
    return (
        f"the training is reckoned to take {_hours(total)}, more than machine.training_hours ({limit:g}); all of them "
        "are wanted, so all are trained: leave some out of `models`, or give them fewer updates or trees",
    )


def _in_all(hours: Mapping[str, float], members: Sequence[ModelSettings], means: Means) -> str:
    total = sum(hours.values())
    if total < WORTH_TELLING_HOURS:
        return ""
    called = {model.name: _called(model) for model in members}
    each = ", ".join(f"{called[name]} {_hours(mine)}" for name, mine in hours.items())
    return f"the training is reckoned to take {_hours(total)} with {means.described()} ({each})"


def _called(model: ModelSettings) -> str:
    """Its name, and of how many fits it is."""
    bag = planned_bag(model.bag, model.kind, model.params)
    return model.name if bag is None else f"{model.name} as a {bag.in_words()}"


def _of_several_sets(
    members: Sequence[ModelSettings], size: DataSize, settings: RunSettings, means: Means
) -> Iterator[str]:
    """What bags over several sets of features cost, however short they are: nobody is to find out afterwards."""
    for model in members:
        bag = planned_bag(model.bag, model.kind, model.params)
        times = times_largest_fit(model, size, settings, means)
        if bag is not None and len(bag.sets) > 1 and times is not None:
            yield f"{model.name}, a {bag.in_words()}, takes {times:.1f} times as long as its largest fit"


def _hours(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
