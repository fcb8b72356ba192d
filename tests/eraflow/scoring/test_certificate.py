"""The bound that certifies is calibrated under slow regimes, and a benchmark's history sharpens it without a bias."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gateerrors import noise
from eraflow.scoring.certificate import LEAST_HISTORY, certificate, degrees
from eraflow.scoring.ranking import ScoreInputError
from eraflow.scoring.statistics import ewc_interval

DRAWS = 600


def drawn(seed, n=330, weeks=13, *, regimes=False, correlation=0.7, before=300):
    """Scores of mean 0, and the benchmark's in the same eras and before them, of mean .5; all of variance 1."""
    rng = np.random.default_rng(seed)
    theirs = noise(rng, before + n, weeks, regimes=regimes)
    own = correlation * theirs[before:] + np.sqrt(1 - correlation**2) * noise(rng, n, weeks, regimes=regimes)
    return own, theirs[before:] + 0.5, theirs[:before] + 0.5


def rate(mean, *, weeks, n, regimes, correlation, used=True):
    passed = 0
    for seed in range(DRAWS):
        own, benchmark, history = drawn(seed, n, weeks, regimes=regimes, correlation=correlation)
        given = {"benchmark": benchmark, "history": history} if used else {}
        passed += certificate(own + mean, weeks, 0.95, **given).interval.low > 0
    return passed / DRAWS


@pytest.mark.parametrize(("weeks", "n"), [(5, 200), (5, 650), (13, 330)])
@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_a_worthless_series_is_seldom_certified_even_in_regimes(weeks, n, correlation):
    calm = rate(0.0, weeks=weeks, n=n, regimes=False, correlation=correlation)
    slow = rate(0.0, weeks=weeks, n=n, regimes=True, correlation=correlation)
    assert calm < 0.05 + 0.02  # 1.6 standard errors of 600 draws
    assert slow < 0.07 + 0.022


def test_the_history_of_a_benchmark_certifies_an_edge_more_often():
    asked = {"weeks": 13, "n": 330, "regimes": False, "correlation": 0.7}
    assert rate(0.54, **asked) > rate(0.54, **asked, used=False) + 0.04


def test_a_benchmark_whose_mean_has_changed_is_not_used():
    own, benchmark, history = drawn(1, weeks=5)
    assert certificate(own, 5, 0.95, benchmark=benchmark, history=history).history == 300
    changed = certificate(own, 5, 0.95, benchmark=benchmark, history=history + 3)
    assert (changed.history, changed.correction) == (0, 0.0)
    assert changed.interval == certificate(own, 5, 0.95).interval


def test_a_short_history_and_a_constant_benchmark_are_not_used():
    own, benchmark, history = drawn(2, weeks=5)
    plain = certificate(own, 5, 0.95)
    for other in (
        {"benchmark": benchmark, "history": history[-(LEAST_HISTORY - 1) :]},
        {"benchmark": np.ones_like(own), "history": np.ones(100)},
    ):
        assert certificate(own, 5, 0.95, **other) == plain


def test_good_eras_are_taken_off_and_bad_ones_given_back():
    own, benchmark, history = drawn(3, weeks=5, correlation=0.9)
    found = certificate(own, 5, 0.95, benchmark=benchmark, history=history)
    assert np.sign(found.correction) == np.sign(np.concatenate([history, benchmark]).mean() - benchmark.mean())
    assert found.correlation == pytest.approx(np.corrcoef(own, benchmark)[0, 1])
    assert found.interval.mean == pytest.approx(own.mean())


def test_too_few_eras_have_no_bound_and_other_eras_are_refused():
    assert certificate(np.ones(9), 5, 0.95).interval == ewc_interval(np.ones(9), 5, 0.95)
    with pytest.raises(ScoreInputError, match="same eras"):
        certificate(np.ones(30), 5, 0.95, benchmark=np.ones(29), history=np.ones(99))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-5, 5))
def test_a_bound_moves_with_the_scores_and_is_never_sharper_than_the_plain_one(seed, scale, shift):
    own, benchmark, history = drawn(seed, n=120, weeks=5)
    plain = certificate(own, 5, 0.95).interval
    assert plain.low <= ewc_interval(own, 5, 0.95).low + 1e-12
    assert (degrees(120, 5), degrees(330, 5), degrees(330, 13), degrees(650, 13)) == (9, 4, 9, 10)
    moved = certificate(scale * own + shift, 5, 0.95).interval
    assert moved.low == pytest.approx(scale * plain.low + shift, abs=1e-8 * (scale + abs(shift)))
    other = certificate(own, 5, 0.95, benchmark=scale * benchmark + shift, history=scale * history + shift).interval
    wanted = certificate(own, 5, 0.95, benchmark=benchmark, history=history).interval
    assert other.low == pytest.approx(wanted.low, abs=1e-8)
