"""Adaptive regularisation: tables and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.search.objective import (
    MOST_FLOOR,
    MOST_PENALTY,
    OPEN_ONE_IN,
    RECENT,
    STEP,
    CompletedTrial,
    penalised,
    pressure,
    pressure_level,
)

gaps = st.lists(st.floats(0.01, 1.0), max_size=60)


def seen(values):
    """Trials with these gaps."""
    return [CompletedTrial(0.03, 0.03 + gap) for gap in values]


GROWING = [0.1 * 1.2**place for place in range(4 * RECENT)]


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ([], 0.0),
        ([0.1] * (2 * RECENT - 1), 0.0),  # too few to compare
        ([0.1] * 40, 0.0),
        ([0.1] * RECENT + [0.2] * RECENT, STEP),  # one comparison, one step
        ([0.2] * RECENT + [0.1] * RECENT, 0.0),
        ([0.1] * RECENT + [0.101] * RECENT, 0.0),  # within the tolerance
        (GROWING, 1.0),
        (GROWING + [0.05] * 40, 0.0),  # what was pressed is released
    ],
)
def test_the_pressure_rises_while_the_gap_grows_and_falls_when_it_does_not(values, level):
    assert pressure_level(seen(values)) == pytest.approx(level)


@given(gaps)
def test_the_pressure_stays_between_its_bounds_and_depends_on_the_past_alone(values):
    level = pressure_level(seen(values))
    assert 0 <= level <= 1
    assert pressure_level(seen(values)) == level


@given(st.floats(1.06, 1.5), st.integers(2 * RECENT, 40))
def test_growing_gaps_never_lower_it(factor, count):
    values = [0.05 * factor**place for place in range(count)]
    levels = [pressure_level(seen(values[:stop])) for stop in range(count + 1)]
    assert levels == sorted(levels)
    assert levels[-1] > 0


@given(gaps, st.floats(0.5, 4.0))
def test_only_the_shape_of_the_gaps_counts(values, scale):
    """As long as they are larger than the noise of a score, their unit does not matter."""
    assert pressure_level(seen(values)) == pytest.approx(pressure_level(seen([scale * gap for gap in values])))


@given(gaps, st.floats(0, 2), st.integers(0, 2**31 - 1), st.integers(0, 10_000))
def test_penalty_and_floor_follow_the_pressure(values, weight, seed, position):
    now = pressure(seen(values), weight, seed=seed, position=position)
    assert weight <= now.penalty <= weight * (1 + MOST_PENALTY) + 1e-12
    assert 0 <= now.floor <= MOST_FLOOR
    assert now == pressure(seen(values), weight, seed=seed, position=position)
    if weight == 0:
        assert (now.level, now.penalty, now.floor) == (0, 0, 0)


def test_some_trials_keep_the_lower_bounds_open_by_seed_and_position():
    floors = [pressure(seen(GROWING), 0.1, seed=3, position=place).floor for place in range(800)]
    assert set(floors) == {0.0, MOST_FLOOR}
    assert 0.7 / OPEN_ONE_IN < floors.count(0.0) / 800 < 1.3 / OPEN_ONE_IN
    others = [pressure(seen(GROWING), 0.1, seed=4, position=place).floor for place in range(800)]
    assert floors != others


@given(st.floats(-0.1, 0.2), st.floats(-0.2, 1.0), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_gap_or_weight_never_pays(score, gap, more, weight):
    assert penalised(score, gap + more, weight) <= penalised(score, gap, weight) + 1e-15
    assert penalised(score, gap, weight + more) <= penalised(score, gap, weight) + 1e-15
    assert penalised(score, min(gap, 0), weight) == score
