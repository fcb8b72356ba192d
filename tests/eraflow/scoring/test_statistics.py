"""Intervals are calibrated where labels overlap, plain standard errors are not, and the figures are what they say.

The simulations follow the way per-era scores arise: a moving average over the weeks that labels overlap, with or
without a slow regime that holds a tenth of the variance. A cell is 2,000 series, so that .05 is known to +-.01.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.scoring.ranking import ScoreInputError
from eraflow.scoring.statistics import (
    MetricSummary,
    adjusted_sharpe,
    difference_of_windows,
    ewc_interval,
    long_run_variance,
    max_drawdown,
    min_eras,
    overlap_weeks,
    paired_comparison,
    sharpe,
    summarise,
)

SERIES = 2_000
CALIBRATED = (0.03, 0.085)
UNDER_A_REGIME = (0.03, 0.12)
scores_lists = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=80)


def overlapping(h, n, regime=0.0, seed=1, series=SERIES):
    """float64[series, n] with mean 0 and variance 1: a moving average over h, plus a slow AR(1) regime."""
    rng = np.random.default_rng(seed)
    sums = np.cumsum(np.pad(rng.standard_normal((series, n + h - 1)), ((0, 0), (1, 0))), axis=1)
    scores = (sums[:, h:] - sums[:, :-h]) / np.sqrt(h)
    if regime:
        slow = rng.standard_normal((series, n))
        for t in range(1, n):
            slow[:, t] = 0.98 * slow[:, t - 1] + np.sqrt(1 - 0.98**2) * slow[:, t]
        scores = np.sqrt(1 - regime) * scores + np.sqrt(regime) * slow
    return scores


def plain_lower_bound(scores):
    return scores.mean(axis=1) - 1.645 * scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])


@pytest.mark.parametrize(
    ("h", "n", "regime", "band"),
    [
        (5, 330, 0.0, CALIBRATED),
        (13, 330, 0.0, CALIBRATED),
        (13, 100, 0.0, CALIBRATED),
        (13, min_eras(13), 0.0, CALIBRATED),
        (13, 330, 0.1, UNDER_A_REGIME),
    ],
)
def test_the_lower_bound_misses_as_often_as_it_says(h, n, regime, band):
    scores = overlapping(h, n, regime)
    missed = np.mean([ewc_interval(row, h).low > 0 for row in scores])
    assert band[0] <= missed <= band[1]
    plain = np.mean(plain_lower_bound(scores) > 0)
    assert plain > band[1], "plain standard errors must fail the same test, or it proves nothing"


@pytest.mark.parametrize(("h", "n", "regime", "band"), [(5, 330, 0.0, CALIBRATED), (13, 330, 0.1, UNDER_A_REGIME)])
def test_equal_models_are_rarely_told_apart(h, n, regime, band):
    market = overlapping(h, n, seed=2)
    first, second = (market + overlapping(h, n, regime, seed=seed) for seed in (3, 4))
    verdicts = [paired_comparison(a, b, h).verdict for a, b in zip(first, second, strict=True)]
    assert band[0] <= np.mean([verdict == "better" for verdict in verdicts]) <= band[1]
    assert band[0] <= np.mean([verdict == "worse" for verdict in verdicts]) <= band[1]
    assert np.mean(plain_lower_bound(first - second) > 0) > band[1]


def test_a_comparison_sees_a_difference_that_single_intervals_hide():
    market, noise = overlapping(5, 330, seed=5, series=200), overlapping(5, 330, seed=6, series=200)
    better = 2 * market + 0.2 * noise + 0.2
    found = [paired_comparison(a, 2 * b, 5).verdict for a, b in zip(better, market, strict=True)]
    assert np.mean([verdict == "better" for verdict in found]) > 0.9
    assert np.mean([ewc_interval(row, 5).low > 0 for row in better]) < 0.5


@pytest.mark.parametrize(("h", "n", "window"), [(5, 330, 52), (13, 330, 52), (13, 650, 52)])
def test_the_recent_window_alarm_is_seldom_false(h, n, window):
    scores = overlapping(h, n, seed=7)
    past, recent = scores[:, : -(window + h)], scores[:, -window:]
    alarms = np.mean([difference_of_windows(a, b, h, 0.99).high < 0 for a, b in zip(past, recent, strict=True)])
    assert 0.002 <= alarms <= 0.025
    broken = np.mean([difference_of_windows(a, b - 3, h, 0.99).high < 0 for a, b in zip(past, recent, strict=True)])
    assert broken > 0.9


def test_overlaps():
    assert [overlap_weeks(days) for days in (5, 20, 60)] == [2, 5, 13]


def test_the_estimate_is_the_published_formula():
    scores = np.random.default_rng(8).standard_normal(40)
    q, t = 3, np.arange(1, 41)
    projections = [np.sum(scores * np.sqrt(2) * np.cos(np.pi * j * (t - 0.5) / 40)) / np.sqrt(40) for j in (1, 2, 3)]
    found = long_run_variance(scores, 5)
    assert found.degrees == q
    assert found.variance == pytest.approx(np.mean(np.square(projections)))
    interval = ewc_interval(scores, 5, 0.95)
    assert interval.low == pytest.approx(scores.mean() - 2.3533634 * np.sqrt(found.variance / 40))
    assert interval.high - interval.mean == pytest.approx(interval.mean - interval.low)


def test_too_few_eras_claim_nothing():
    for n in range(min_eras(13)):
        interval = ewc_interval(np.ones(n), 13)
        assert (interval.low, interval.high) == (-math.inf, math.inf)
        assert interval.as_dict()["low"] is None
        assert paired_comparison(np.ones(n), np.zeros(n), 13).verdict == "not distinguishable"
    assert math.isfinite(ewc_interval(np.arange(min_eras(13)), 13).low)


@settings(max_examples=60, deadline=None)
@given(scores_lists, st.floats(-1, 1), st.sampled_from([2, 5, 13]))
def test_intervals_move_and_mirror_with_the_scores(scores, shift, h):
    scores = np.array(scores)
    found, moved, mirrored = (ewc_interval(x, h) for x in (scores, scores + shift, -scores))
    assert found.low <= found.mean <= found.high
    assert moved.low == pytest.approx(found.low + shift, abs=1e-9)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    assert ewc_interval(scores, h, 0.99).low <= found.low


@settings(max_examples=60, deadline=None)
@given(scores_lists)
def test_a_drawdown_is_the_worst_stretch_of_eras(scores):
    stretches = [-sum(scores[i:j]) for i in range(len(scores)) for j in range(i, len(scores) + 1)]
    assert max_drawdown(scores) == pytest.approx(max(stretches), abs=1e-9)


def test_a_drawdown_counts_from_the_starting_zero():
    assert max_drawdown([-0.1, -0.2, 0.5]) == pytest.approx(0.3)
    assert max_drawdown([0.1, 0.2]) == 0
    assert max_drawdown([]) == 0


def test_sharpe_and_its_adjustment():
    scores = np.array([0.01, 0.02, 0.03, 0.02, 0.01, 0.00, 0.01, 0.02])
    assert sharpe(scores) == pytest.approx(scores.mean() / scores.std(ddof=0))
    r, n = np.corrcoef(scores[:-1], scores[1:])[0, 1], len(scores)
    penalty = math.sqrt(1 + 2 * sum((n - i) / n * r**i for i in range(1, n)))
    assert r > 0
    assert adjusted_sharpe(scores) == pytest.approx(sharpe(scores) / penalty)
    assert adjusted_sharpe([1, -1, 1, -1, 1.5]) < sharpe([1, -1, 1, -1, 1.5]), "alternation earns no bonus"
    assert math.isnan(sharpe([0.1, 0.1, 0.1]))
    assert math.isnan(adjusted_sharpe([0.1, 0.2]))


def test_a_summary_tells_eras_and_survives_json():
    summary = summarise("corr", ["0001", "0002", "0003"], [0.1, 0.1, 0.1], 5)
    assert (summary.eras, summary.first_era, summary.last_era) == (3, "0001", "0003")
    assert summary.as_dict()["sharpe"] is None
    assert summary.as_dict()["low"] is None
    assert MetricSummary.from_dict(summary.as_dict()) == summary


def test_what_cannot_be_summed_up_is_refused():
    for bad in ([0.1, math.nan], [0.1, math.inf], [[0.1], [0.2]]):
        with pytest.raises(ScoreInputError, match="finite"):
            ewc_interval(bad, 5)
    with pytest.raises(ScoreInputError, match="2 scores against 1"):
        paired_comparison([0.1, 0.2], [0.1], 5)
    with pytest.raises(ScoreInputError, match="0 scores for 0 eras"):
        summarise("mmc", [], [], 5)
    with pytest.raises(ScoreInputError, match="overlap of 0"):
        ewc_interval([0.1], 0)
