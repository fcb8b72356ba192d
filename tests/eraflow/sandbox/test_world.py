"""A week at a time is served of one world: what was known stays, what resolves is what was to become of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.sandbox.calendar import RoundSpec
from eraflow.sandbox.outcomes import read_outcome
from eraflow.sandbox.season import OtherSeasonError, SeasonState, open_season, steps
from eraflow.sandbox.tournamentfile import FILE, TournamentFileError, told_tournament
from eraflow.sandbox.world import (
    LATER_TARGET,
    LATER_VERSION,
    STUCK,
    TARGET,
    VERSION,
    Events,
    World,
    opens,
    round_number,
    serve_week,
    usual_events,
)
from eraflow.settings.source import SandboxSettings

SIZE = SandboxSettings(train_eras=30, validation_eras=24, rows_per_era=60, features=40, signal=3.0, seed=3)
WEEKS = 12
EVENTS = Events(target=9, version=6, feature=3, skill=4, missed=2)


def served(folder: Path, week: int, *, midweek: bool = False) -> pl.DataFrame:
    serve_week(folder, SIZE, WEEKS, EVENTS, week, midweek=midweek)
    return pl.read_parquet(folder / "validation.parquet")


def test_the_data_grow_by_an_era_a_week_and_what_was_known_stays(tmp_path: Path) -> None:
    first, second = served(tmp_path, 0), served(tmp_path, 1)
    assert second["era"].n_unique() == first["era"].n_unique() + 1
    both = second.join(first, on="id", suffix="_before")
    assert both.height == first.height
    known = both.filter(pl.col("target_ender_20_before").is_not_nan())
    assert known["target_ender_20"].to_list() == known["target_ender_20_before"].to_list()
    feature = next(name for name in first.columns if name.startswith("feature"))
    assert both[feature].to_list() == both[f"{feature}_before"].to_list()


def test_what_resolves_is_what_was_to_become_of_the_live_rows(tmp_path: Path) -> None:
    served(tmp_path, 0)
    live = pl.read_parquet(tmp_path / "live.parquet")["id"].to_list()
    outcome = read_outcome(tmp_path, round_number(0))
    later = served(tmp_path, 8).filter(pl.col("id").is_in(live)).select("id", "target_ender_20")
    assert outcome is not None
    assert later.height == len(live)
    assert later.rows() == outcome.select("id", "target_ender_20").rows()


def test_the_same_week_again_is_the_same_bytes(tmp_path: Path) -> None:
    served(tmp_path / "one", 3)
    served(tmp_path / "two", 2)
    served(tmp_path / "two", 3)
    for name in ("validation.parquet", "live.parquet", "train.parquet", "features.json", FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_a_feature_breaks_in_its_week_and_in_no_earlier_era(tmp_path: Path) -> None:
    world = World(SIZE, WEEKS, EVENTS)
    name = world.features.names[world.broken]
    stuck = []
    for week in (2, 3):
        served(tmp_path, week)
        stuck.append(float((pl.read_parquet(tmp_path / "live.parquet")[name] == STUCK).mean()))
    assert stuck[0] < 0.4
    assert stuck[1] > 0.9
    before = World(SIZE, WEEKS, replace(EVENTS, feature=None))
    assert np.array_equal(world.era(world.first + 2).features, before.era(world.first + 2).features)


def test_a_group_of_features_pays_nothing_from_its_week_on() -> None:
    world, whole = World(SIZE, WEEKS, EVENTS), World(SIZE, WEEKS, replace(EVENTS, skill=None))
    group = set(world.features.sets[EVENTS.group])
    lost = [place for place, at in enumerate(world.truth.active) if world.features.names[at] in group]
    at = world.first + 4
    assert lost
    assert not world.truth.linear[at:, lost].any()
    assert np.array_equal(world.truth.linear[:at], whole.truth.linear[:at])
    others = [place for place in range(len(world.truth.active)) if place not in lost]
    assert np.array_equal(world.truth.linear[:, others], whole.truth.linear[:, others])


def test_the_folder_tells_the_time_the_round_its_target_and_the_version(tmp_path: Path) -> None:
    found = []
    for week in (0, 9):
        served(tmp_path, week, midweek=week == 9)
        told = told_tournament(tmp_path, RoundSpec())
        assert told is not None
        found.append((told.now, told.round.number, told.round.target, told.version))
    assert found == [(opens(0), 1404, TARGET, VERSION), (opens(9, midweek=True), 1423, LATER_TARGET, LATER_VERSION)]
    assert opens(9) - opens(0) == timedelta(weeks=9)
    assert "v54_lgbm_ender20" in pl.read_parquet(tmp_path / "live_benchmark_models.parquet").columns


@pytest.mark.parametrize("text", ["{}", "no JSON", '{"now": "2027-01-02T13:00:00", "round": {}}', '{"now": 3}'])
def test_a_folder_that_does_not_tell_the_time_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(TournamentFileError, match="remove it"):
        told_tournament(tmp_path, RoundSpec())


@pytest.mark.parametrize("weeks", [2, 5, 26, 52])
def test_every_event_happens_within_the_season(weeks: int) -> None:
    events = usual_events(weeks)
    at = [events.missed, events.version, events.feature, events.skill, events.target]
    assert all(week is not None and 1 <= week < weeks for week in at)


def test_the_participant_corrects_the_version_at_once_and_the_target_a_week_later() -> None:
    played = list(steps(WEEKS, EVENTS))
    assert [step.name for step in played] == sorted(step.name for step in played)
    assert all(step.week != EVENTS.missed for step in played)
    week = [(step.version, step.again) for step in played if step.week == EVENTS.version and not step.midweek]
    assert week == [(VERSION, False), (LATER_VERSION, True)]
    targets = {step.week: step.target for step in played}
    assert (targets[9], targets[10]) == (TARGET, LATER_TARGET)


def test_a_season_goes_on_where_it_was_and_no_other_takes_its_folder(tmp_path: Path) -> None:
    season: SeasonState = open_season(tmp_path, 4, 3)
    step = next(steps(4, season.events))
    season.note(step, {"outcome": "submitted"})
    assert list(open_season(tmp_path, 4, 3).done) == [step.name]
    with pytest.raises(OtherSeasonError, match="name another folder"):
        open_season(tmp_path, 5, 3)
