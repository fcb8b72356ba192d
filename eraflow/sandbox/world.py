"""A world of which a week at a time is served: all its eras are drawn from the start, and each week shows those so far.

What happens to it at known weeks is what a participant meets: the tournament scores another target, offers the data
under another version, a feature behaves in live as it never did before, and a group of features pays nothing any more.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.sandbox.calendar import RoundSpec
from eraflow.sandbox.generate import Era, Generator, catalogue, write_part
from eraflow.sandbox.outcomes import write_outcome
from eraflow.sandbox.tournamentfile import ServedMoment, tell_tournament
from eraflow.settings.source import SandboxSettings

FIRST_SATURDAY = datetime(2027, 1, 2, 13, tzinfo=UTC)
FIRST_ROUND = 1404
ROUNDS_A_WEEK = 2  # one on Saturday, one on Wednesday
SERVED = "served.json"
STUCK = 4  # the code that the broken feature shows in nearly every row
BEFORE = 0.275  # share of the training eras without a benchmark, as in `generate`


@dataclass(frozen=True)
class Events:
    """What happens in which week, counted from 0; None: it does not happen.

    Attributes:
        target, version: of the round and of the data from these weeks on, see `LATER_TARGET`, `LATER_VERSION`.
        feature: from this week on one feature is stuck.
        skill: from this week on the features of `group` pay nothing.
        missed: the week in which nobody runs.
        group: a set of features.json.
    """

    target: int | None = None
    version: int | None = None
    feature: int | None = None
    skill: int | None = None
    missed: int | None = None
    group: str = "constitution"


TARGET, LATER_TARGET = "target_ender_20", "target_cyrusd_20"
VERSION, LATER_VERSION = "v5.3", "v5.4"


def usual_events(weeks: int) -> Events:
    """Each once, in turn, over so many weeks: the missed round, the version, the feature, the skill, the target."""
    at = [max(1, round(weeks * share)) for share in (0.2, 0.35, 0.5, 0.6, 0.85)]
    missed, version, feature, skill, target = (min(week, weeks - 1) for week in at)
    return Events(target=target, version=version, feature=feature, skill=skill, missed=missed)


class World(Generator):
    """Every era of a season; `seen_from` tells which of them are known.

    Args:
        settings: size and truth as of the first week; `validation_eras` are those that are there then.
        weeks: of the season.
        events: what happens to it.
        version: of the data; names the benchmark's columns.
    """

    def __init__(self, settings: SandboxSettings, weeks: int, events: Events, version: str = VERSION) -> None:
        whole = settings.model_copy(update={"validation_eras": settings.validation_eras + weeks})
        super().__init__(whole, version)
        self.first = settings.train_eras + settings.validation_eras
        self.broken = self._broken(events)
        self._breaks_at = None if events.feature is None else self.first + events.feature
        if events.skill is not None:
            self._lose_skill(events.group, self.first + events.skill)

    def era(self, position: int) -> Era:
        """As the tournament shows it: with the broken feature as it came."""
        found = super().era(position)
        if self._breaks_at is not None and position >= self._breaks_at:
            features = found.features.copy()
            stuck = np.random.default_rng([self.seed, 83, position]).random(features.shape[1]) < 0.97
            features[self.broken, stuck] = STUCK
            return replace(found, features=features)
        return found

    def _broken(self, events: Events) -> int:
        """The position of a feature that pays, and does not belong to the group whose skill is lost."""
        group = set(self.features.sets[events.group])
        others = [int(place) for place in self.truth.active if self.features.names[place] not in group]
        return others[0] if others else int(self.truth.active[0])

    def _lose_skill(self, group: str, position: int) -> None:
        named = set(self.features.sets[group])
        lost = np.array([self.features.names[place] in named for place in self.truth.active])
        linear, products = self.truth.linear.copy(), self.truth.products.copy()
        linear[position:, lost] = 0.0
        products[position:, lost[self.truth.pairs].any(axis=1)] = 0.0
        self.truth = replace(self.truth, linear=linear, products=products)


def round_number(week: int, *, midweek: bool = False) -> int:
    """The number of the round of a week's Saturday, or of the Wednesday after it."""
    return FIRST_ROUND + ROUNDS_A_WEEK * week + int(midweek)


def opens(week: int, *, midweek: bool = False) -> datetime:
    """An hour after the round has opened: the moment at which the folder is served."""
    return FIRST_SATURDAY + timedelta(weeks=week, days=4 if midweek else 0)


def version_of(week: int, events: Events) -> str:
    """The data version that is offered in a week."""
    return LATER_VERSION if events.version is not None and week >= events.version else VERSION


def target_of(week: int, events: Events) -> str:
    """The target that the round of a week is scored on."""
    return LATER_TARGET if events.target is not None and week >= events.target else TARGET


def serve_week(
    folder: Path, settings: SandboxSettings, weeks: int, events: Events, week: int, *, midweek: bool = False
) -> None:
    """Make `folder` what the tournament offers in a week: data, the round, the time, and what will become of it.

    What lies there already of the same week is left as it is, so a season that was killed goes on with the same bytes.

    Raises:
        StorageError: it cannot be written.
    """
    version, number = version_of(week, events), round_number(week, midweek=midweek)
    wanted = {"world": value_sha256([settings.identity(), weeks, asdict(events)]), "week": week, "version": version}
    if read_object(folder / SERVED) != wanted:
        (folder / SERVED).unlink(missing_ok=True)
        _write_week(folder, World(settings, weeks, events, version), week)
        write_json(folder / SERVED, wanted)
    world = World(settings, weeks, events, version)
    write_outcome(folder, str(number), world.outcome(world.first + week))
    spec = RoundSpec(
        number=number,
        opens_in=-3600.0,
        open_seconds=25 * 3600.0 if not midweek else 6 * 3600.0,
        target=target_of(week, events),
        multipliers={"corr20": 3.0, "mmc20": 15.0},
    )
    tell_tournament(folder, ServedMoment(opens(week, midweek=midweek), spec, version))


def _write_week(folder: Path, world: World, week: int) -> None:
    train, live = world.settings.train_eras, world.first + week
    seen = world.seen_from(live)
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = catalogue(world)
    write_json(folder / "features.json", content)
    write_part(folder, "train", seen, range(train), int(BEFORE * train))
    write_part(folder, "validation", seen, range(train, live), train)
    write_part(folder, "live", seen, range(live, live + 1), live)
