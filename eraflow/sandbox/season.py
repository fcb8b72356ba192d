"""The steps of a season, and which of them are done: what `eraflow sandbox season` goes on from when it was killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.sandbox.world import Events, round_number, target_of, usual_events, version_of
from eraflow.settings.source import SandboxSettings

STATE = "season.json"
DAILY_EVERY = 2  # weeks between two midweek rounds
SIZE = SandboxSettings(train_eras=90, validation_eras=100, rows_per_era=250, features=60, signal=1.6, seed=3)


class OtherSeasonError(EraflowError):
    """The folder holds a season of another length or seed. Name another folder, or go on with the same numbers."""

    code = "other_season"
    exit_code = 2


@dataclass(frozen=True)
class SeasonStep:
    """One run of a flow.

    Attributes:
        week: counted from 0.
        midweek: whether it is the round of Wednesday, which `daily` serves.
        target, version: what the participant's settings say.
        again: whether it is the second try, after the settings were corrected.
    """

    week: int
    midweek: bool
    target: str
    version: str
    again: bool = False

    @property
    def flow(self) -> str:
        """The flow that is run."""
        return "daily" if self.midweek else "weekly"

    @property
    def name(self) -> str:
        """Of the step and of its run's folder: they sort as they are played."""
        return f"season-{self.week:03d}-{'b-daily' if self.midweek else 'a-weekly'}{'-again' if self.again else ''}"

    @property
    def number(self) -> int:
        """Of the round."""
        return round_number(self.week, midweek=self.midweek)


def steps(weeks: int, events: Events) -> Iterator[SeasonStep]:
    """What a participant does, in order.

    They do nothing in the missed week. A new data version ends the week's run by name: then they correct the settings
    and run again. A new target of the round is only told of: they learn of it from the warning of that week's run, and
    their settings name it from the next week on.
    """
    for week in range(weeks):
        if week == events.missed:
            continue
        version, target = version_of(week, events), target_of(week - 1, events)
        before = version_of(week - 1, events)
        if version != before:
            yield SeasonStep(week, False, target, before)
        yield SeasonStep(week, False, target, version, again=version != before)
        if week % DAILY_EVERY == 1:
            yield SeasonStep(week, True, target, version)


@dataclass
class SeasonState:
    """A season in its folder.

    Attributes:
        folder: of the season; `served` and `home` lie in it.
        weeks, seed: what was asked for.
        done: a record a step that is done, by its name, in the order of doing.
    """

    folder: Path
    weeks: int
    seed: int
    done: dict[str, dict[str, Any]]

    @property
    def served(self) -> Path:
        """The folder that the tournament serves."""
        return self.folder / "served"

    @property
    def home(self) -> Path:
        """The participant's home."""
        return self.folder / "home"

    @property
    def events(self) -> Events:
        """What happens, and when."""
        return usual_events(self.weeks)

    @property
    def size(self) -> SandboxSettings:
        """Of the world."""
        return SIZE.model_copy(update={"seed": self.seed})

    def note(self, step: SeasonStep, record: dict[str, Any]) -> None:
        """A step is done."""
        self.done[step.name] = {"step": asdict(step), **record}
        write_json(self.folder / STATE, {"weeks": self.weeks, "seed": self.seed, "done": self.done})


def open_season(folder: Path, weeks: int, seed: int) -> SeasonState:
    """The season in a folder, begun now or gone on with.

    Raises:
        OtherSeasonError: there is one of another length or seed.
    """
    found = read_object(folder / STATE)
    if found is not None and (found.get("weeks"), found.get("seed")) != (weeks, seed):
        raise OtherSeasonError(
            f"{folder} holds a season of {found.get('weeks')} weeks and seed {found.get('seed')}",
            "name another folder with --out, or go on with the same --weeks and --seed",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return SeasonState(folder, weeks, seed, (found or {}).get("done") or {})
