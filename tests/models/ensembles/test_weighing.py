"""Weights that are learnt: from the past alone, better where skill differs, equal where nothing shows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from benchmarks.plantedmembers import tournament
from eraflow.scoring.payout import TODAY
from eraflow.scoring.ranking import EraGroups
from models.ensembles.blends import BLENDS
from models.ensembles.eratables import KnownTruth, era_tables
from models.ensembles.exactscores import exact_payouts, rank_payouts
from models.ensembles.job import Learning
from models.ensembles.learntweights import NOT_DISTINGUISHABLE, learn_weights
from models.ensembles.rankblend import rank_gaussian_blend
from models.ensembles.walkforward import departures, walk_forward_weights
from models.ensembles.weighing import Weighing, on_simplex, tempered

LEARNING = {name: row for name, row in BLENDS.items() if row.learns is not None}
ASKED = Weighing(warm_up=20)
PURGE = 8


def tables_of(found):
    return era_tables(found.members, found.groups, found.weeks, found.truth)


def learnt(found, method, **changes):
    learning = Learning(
        meta_model="meta", benchmark=None, purge_weeks=PURGE, confidence=0.95, weighing=replace(ASKED, **changes)
    )
    eras = [f"{week:04d}" for week in found.weeks]
    row = BLENDS[method]
    return learn_weights(row, row.learns, found.members, found.groups, eras, found.truth, learning, 20)


def mean_payout(found, weights):
    return float(np.nanmean(exact_payouts(rank_gaussian_blend(found.members, found.groups, weights), found.groups,
                                          found.truth, TODAY)))  # fmt: skip


@pytest.mark.parametrize("measure", ["numerai", "ranks"])
def test_the_tables_foretell_the_exact_payout_and_its_slope(measure):
    found = tournament([0.1, 0.05, 0.0], eras=30, rows=400)
    table, shares = getattr(tables_of(found), measure), np.linspace(0.1, 1, 30)
    exact = {"numerai": exact_payouts, "ranks": rank_payouts}[measure]
    for weights in ([1, 0, 0], [0.2, 0.5, 0.3], [1 / 3] * 3):
        weights = np.array(weights, dtype=float)
        blend = rank_gaussian_blend(found.members, found.groups, weights)
        wanted = exact(blend, found.groups, found.truth, replace(TODAY, clip=100.0))
        assert np.corrcoef(table.payouts(weights, TODAY), wanted)[0, 1] > 0.95
        assert table.payouts(weights, TODAY).mean() == pytest.approx(wanted.mean(), rel=0.1)
        slope = approx_fprime(weights, lambda w: float(shares @ table.payouts(w, TODAY)), 1e-7)
        np.testing.assert_allclose(table.slope(weights, TODAY, shares), slope, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", LEARNING)
def test_nothing_of_the_future_reaches_weights_or_choices(method):
    """Every row from some era on is changed; what was decided up to there keeps its bits."""
    found = tournament([0.12, 0.06, 0.02], eras=70, rows=60)
    before = learnt(found, method)
    for cut in (45, 60):
        first = int(found.groups.offsets[cut])
        members, target = found.members.copy(), found.truth.target.copy()
        members[first:] = np.random.default_rng(5).standard_normal(members[first:].shape)
        target[first:] = np.random.default_rng(6).permutation(target[first:])
        after = learnt(replace(found, members=members, truth=replace(found.truth, target=target)), method)
        np.testing.assert_array_equal(after.weights.by_era[: cut + PURGE + 1], before.weights.by_era[: cut + PURGE + 1])
    assert not np.array_equal(after.weights.live, before.weights.live) or method == "payout"


@pytest.mark.parametrize("method", [name for name in LEARNING if not LEARNING[name].confirmed])
def test_a_member_without_skill_is_left_behind_and_the_blend_gains(method):
    found = tournament([0.12, 0.12, 0.0], eras=120, rows=200, alike=0.2)
    weights = learnt(found, method).weights
    assert weights.live[2] < 0.25
    assert mean_payout(found, weights.by_era) > mean_payout(found, np.full(3, 1 / 3))


def test_where_both_measures_confirm_it_the_payout_optimal_blend_departs_and_gains():
    found = tournament([0.08, 0.08, 0.0], eras=120, rows=300, alike=0.1)
    done = learnt(found, "payout")
    assert done.told["live"] == "departs from equal weights"
    assert done.weights.live[2] < 0.25
    assert 0 < done.told["departed_eras"] < 120
    assert 0 < done.told["approximation"] < 0.3
    assert mean_payout(found, done.weights.by_era) > mean_payout(found, np.full(3, 1 / 3))


def test_where_members_are_alike_the_payout_optimal_blend_stays_equal_and_says_so():
    done = [learnt(tournament([0.05] * 3, eras=90, rows=80, seed=seed), "payout") for seed in range(6)]
    assert sum(one.told["live"] == NOT_DISTINGUISHABLE for one in done) >= 5
    assert all(one.told["judged"] >= one.told["disagreed"] for one in done)


@pytest.mark.parametrize("method", LEARNING)
def test_shuffled_targets_leave_nothing_to_find(method):
    gains = []
    for seed in range(4):
        found = tournament([0.1, 0.1, 0.0], eras=90, rows=100, seed=seed, shuffled=True)
        weights = learnt(found, method).weights
        gains.append(mean_payout(found, weights.by_era) - mean_payout(found, np.full(3, 1 / 3)))
    assert abs(np.mean(gains)) < 3 * max(np.std(gains, ddof=1) / 2, 0.01)


@given(st.lists(st.floats(-5, 5, allow_nan=False), min_size=1, max_size=8))
def test_a_projection_lies_on_the_simplex_and_is_the_nearest(values):
    values = np.array(values)
    found = on_simplex(values)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1)
    for other in (np.eye(len(values)), np.full((1, len(values)), 1 / len(values))):
        for corner in np.atleast_2d(other):
            assert np.sum((found - values) ** 2) <= np.sum((corner - values) ** 2) + 1e-9


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=12).filter(lambda each: sum(each) > 0.01), st.floats(0.05, 1))
def test_tempered_weights_are_weights_and_none_is_above_the_most(values, most):
    weights = np.array(values) / sum(values)
    found = tempered(weights, Weighing(most=most))
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1)
    assert found.max() <= max(most, min(1.0, 2 / len(values))) + 1e-9


def test_eras_without_a_target_or_another_model_are_passed_over_or_counted_without_it():
    found = tournament([0.1, 0.05], eras=12, rows=50, meta_from=6)
    target = found.truth.target.copy()
    target[:50] = np.nan  # the first era is not known
    target[50:55] = np.nan  # of the second a tenth is not
    tables = tables_of(replace(found, truth=KnownTruth(target, found.truth.meta_model)))
    assert tables.weeks.tolist() == list(range(2, 13))
    assert tables.with_meta.tolist() == [False] * 5 + [True] * 6
    assert not tables.numerai.contribution[:5].any()
    assert tables.numerai.contribution[5:].all()
    assert len(era_tables(found.members, found.groups, found.weeks, KnownTruth(np.full(600, np.nan))).weeks) == 0


def test_with_few_eras_before_it_an_era_is_equal():
    found = tournament([0.2, 0.0], eras=40, rows=60)
    weights = walk_forward_weights(BLENDS["exponential"].learns, tables_of(found), found.weeks, PURGE, ASKED)
    np.testing.assert_array_equal(weights.by_era[: 20 + PURGE], 0.5)
    assert not np.array_equal(weights.by_era[-1], [0.5, 0.5])
    assert weights.turnover > 0


def test_a_departure_needs_both_measures_and_a_bound():
    weeks = np.arange(1, 61)
    noise = np.random.default_rng(1).normal(0, 0.01, (60, 2))
    agreed = departures(0.05 + noise, weeks, PURGE, 5, 0.95)
    assert agreed.live
    assert not agreed.by_era[: 10 + PURGE].any()
    assert agreed.by_era[30:].all()
    against = departures(np.array([0.05, -0.05]) + noise, weeks, PURGE, 5, 0.95)
    assert not against.live
    assert against.agreed == 0
    assert not departures(0.0001 + 20 * noise, weeks, PURGE, 5, 0.95).live
    assert departures(np.full((60, 2), np.nan), weeks, PURGE, 5, 0.95).judged == 0


def test_a_member_that_is_constant_in_an_era_says_nothing_there():
    found = tournament([0.1, 0.1], eras=3, rows=40)
    members = found.members.copy()
    members[:40, 1] = 0.5
    tables = era_tables(members, EraGroups.from_sizes([40] * 3), found.weeks, found.truth)
    assert np.isfinite(tables.numerai.payouts(np.array([0.5, 0.5]), TODAY)).all()
    assert tables.numerai.corr[0, 1] == 0
