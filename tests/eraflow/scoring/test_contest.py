"""Promotion: rarely by luck, in good time on merit, not undone by less, and never by what was not known yet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.contest import promotions
from benchmarks.gateerrors import noise
from eraflow.scoring.contest import Look, contest_decision, look_at, look_of
from eraflow.scoring.scoring import EraScores
from eraflow.settings.contest import ContestSettings

RULE = ContestSettings()


def looked(low, number=1, **other):
    return Look(number, "c", **{"passed": True, "eras": 300, "difference": 0.01, "low": low, **other})


def scores(values):
    return EraScores(tuple(f"{era:04d}" for era in range(1, len(values) + 1)), tuple(map(float, values)))


def test_the_bound_must_hold_in_so_many_successive_weeks():
    assert not contest_decision([looked(0.001)] * 3, 0.0, 4).promoted
    assert contest_decision([looked(0.001)] * 4, 0.0, 4).promoted
    assert not contest_decision([*[looked(0.001)] * 3, looked(-0.001), looked(0.001)], 0.0, 4).promoted
    assert not contest_decision([looked(0.001)] * 4, 0.001, 4).promoted
    assert not contest_decision([], 0.0, 4).promoted
    assert "too few" in contest_decision([looked(None)], 0.0, 1).why


def test_a_blocked_one_and_one_that_is_worse_live_are_not_promoted_and_it_is_said_why():
    blocked = contest_decision([looked(0.001), looked(0.001, passed=False)], 0.0, 2)
    assert (blocked.promoted, "the gate blocked it" in blocked.why) == (False, True)
    told = {"shadow_eras": 20, "shadow_difference": -0.02, "shadow_high": -0.001}
    worse = contest_decision([looked(0.001), looked(0.001, **told)], 0.0, 2)
    assert (worse.promoted, "20 resolved rounds" in worse.why) == (False, True)
    assert contest_decision([looked(0.001), looked(0.001, **{**told, "shadow_high": 0.001})], 0.0, 2).promoted


@pytest.mark.parametrize("overlap", [5, 13])
def test_equal_recipes_rarely_change_places_in_a_year_and_a_better_one_is_found(overlap):
    """As `benchmarks/contest.py`, with fewer draws: four standard errors above the rate that is stated."""
    rng, draws = np.random.default_rng(overlap), 60
    drawn = [noise(rng, 382, overlap, regimes=False) for _ in range(draws)]
    false = sum(promotions(one, overlap, RULE) > 0 for one in drawn) / draws
    assert false <= 0.05 + 4 * (0.05 * 0.95 / draws) ** 0.5
    assert sum(promotions(one + 1.0, overlap, RULE) == 1 for one in drawn) / draws > 0.9


def test_the_way_back_needs_as_much_as_the_way_there():
    """What promoted a recipe counts against the way back: its looks have the other sign, and begin anew."""
    assert promotions(np.full(382, 1.0) + noise(np.random.default_rng(1), 382, 5, regimes=False), 5, RULE) == 1


@given(st.integers(120, 200), st.floats(-5, 5), st.integers(0, 2**31))
def test_nothing_that_comes_later_decides(now, shift, seed):
    """Every era after t is changed, and looks and decisions up to t are the same."""
    rng = np.random.default_rng(seed)
    champion, challenger = rng.normal(size=(2, 220)) * 0.02
    later = challenger.copy()
    later[now:] += shift

    def decisions(values):
        looks = [
            look_at(week, "c", True, (scores(champion[:week]), scores(values[:week])), values[:week:9], 5, 0.9, 0.9)
            for week in range(now - 3, now + 1)
        ]
        return looks, contest_decision(looks, 0.0, 2)

    assert decisions(challenger) == decisions(later)


def test_only_eras_that_both_have_are_compared_and_a_look_is_stored_as_it_is():
    rng = np.random.default_rng(2)
    long, short = rng.normal(size=120), rng.normal(size=100)
    look = look_at(7, "c", True, (scores(long), scores(short)), [], 5, 0.95, 0.95)
    assert look.eras == 100
    assert look.difference == pytest.approx(np.mean(short - long[:100]))
    assert (look.shadow_eras, look.shadow_high) == (0, None)
    assert look_of(look.as_dict()) == look
