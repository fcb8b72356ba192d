"""Associations are CORR of the bare feature, their tests are EWC, and a false-discovery rate is kept under overlap."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numerai_tools.scoring import power
from scipy.stats import t as student

import eraflow.discovery.association as association
from eraflow.discovery.association import (
    DiscoveryDataError,
    mean_tests,
    measure,
    overlap_entries,
)
from eraflow.discovery.falsediscovery import q_values
from eraflow.scoring.statistics import ewc_interval, long_run_variance, min_eras
from tests.eraflow.discovery.worlds import TARGET, draw, overlapping_noise, store_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    coefficients = np.tile([0.3, -0.2, 0.1], (12, 1))
    x, y = draw(coefficients, features=7, rows=150)
    x[:5, :, 6] = 2  # missing in the first eras
    y[2, 10:40] = np.nan
    y[11] = np.nan
    return x, y, store_of(x, y, tmp_path_factory.mktemp("world") / "store")


def test_an_association_is_the_correlation_with_corrs_target(world):
    x, y, store = world
    found = measure(store, TARGET, store.eras)
    for era in range(11):
        known = np.isfinite(y[era])
        target = y[era][known] - y[era][known].mean()
        wanted = power(pd.DataFrame({"y": target}), 1.5)["y"].to_numpy()
        for feature in range(7):
            codes = x[era][known, feature]
            if np.ptp(codes) == 0:
                assert np.isnan(found.values[era, feature])
            else:
                assert found.values[era, feature] == pytest.approx(np.corrcoef(codes, wanted)[0, 1], abs=1e-6)
    assert np.isnan(found.values[11]).all()
    assert found.of(store.eras).eras == store.eras[:11]


def test_threads_change_nothing_and_blocks_the_last_digits_of_float32(world, monkeypatch):
    _, _, store = world
    whole = measure(store, TARGET, store.eras).values
    told = []
    threaded = measure(store, TARGET, store.eras, threads=3, progress=lambda *each: told.append(each)).values
    np.testing.assert_array_equal(whole, threaded)
    assert told[-1] == (12, 12)
    monkeypatch.setattr(association, "BLOCK_VALUES", 200)
    np.testing.assert_allclose(measure(store, TARGET, store.eras).values, whole, atol=1e-6)


def test_eras_that_were_not_measured_are_named(world):
    _, _, store = world
    found = measure(store, TARGET, store.eras[:3])
    with pytest.raises(DiscoveryDataError, match="0009"):
        found.of(["0001", "0009"])
    with pytest.raises(DiscoveryDataError, match="none of the training eras"):
        measure(store, TARGET, store.eras[11:]).of(store.eras[11:])


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 60), st.integers(1, 4)), elements=st.floats(-1, 1, width=16)),
    st.integers(0, 30),
    st.sampled_from([2, 5, 13]),
)
def test_every_column_is_tested_as_ewc_tests_its_series(values, missing, overlap):
    values[:missing, 0] = np.nan
    found = mean_tests(values, overlap)
    for column in range(values.shape[1]):
        series = values[np.isfinite(values[:, column]), column]
        assert found.eras[column] == len(series)
        if len(series) < min_eras(overlap) or series.min() == series.max():
            assert found.p_value[column] == 1
            continue
        variance = long_run_variance(series, overlap)
        assert found.degrees[column] == variance.degrees
        p = found.p_value[column]
        if 1e-4 < p < 0.9 and variance.variance > 1e-12:
            bound = ewc_interval(series, overlap, 1 - p / 2)
            assert min(abs(bound.low), abs(bound.high)) == pytest.approx(0, abs=1e-7), "p is where the bound meets zero"
            statistic = series.mean() / np.sqrt(variance.variance / len(series))
            assert p == pytest.approx(2 * student.sf(abs(statistic), variance.degrees))


def test_stability_counts_the_eras_with_the_sign_of_the_mean():
    values = np.array([[1.0, -1.0], [1.0, -1.0], [-0.5, np.nan], [1.0, 0.5], [1.0, -1.0]])
    assert mean_tests(values, 1).stability == pytest.approx([0.8, 0.75])


def test_thinned_eras_overlap_in_fewer_entries():
    eras = [f"{number:04d}" for number in range(1, 200)]
    assert [overlap_entries(eras[::stride], 13) for stride in (1, 4, 16)] == [13, 4, 1]
    assert overlap_entries(eras[:1], 5) == 5


def _clustered_null(rng, eras, features, weeks):
    """Per-era associations of features that mean nothing: clusters of five share a factor, labels overlap."""
    noise = overlapping_noise(eras, features, weeks, 1.0, seed=int(rng.integers(2**31)))
    shared = overlapping_noise(eras, features // 5, weeks, 1.0, seed=int(rng.integers(2**31)))
    return np.sqrt(0.6) * noise + np.sqrt(0.4) * np.repeat(shared, 5, axis=1) + rng.standard_normal(noise.shape)


@pytest.mark.parametrize(("weeks", "eras"), [(5, 200), (13, 400)])
def test_false_discoveries_stay_below_their_rate_in_clusters_with_overlapping_labels(weeks, eras):
    """A quarter of 100 features carries something; with plain standard errors most of the finds are false."""
    shares, plain, power_ = [], [], []
    real = np.arange(100) < 25
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = _clustered_null(rng, eras, 100, weeks)
        values[:, real] += 1.2 if weeks == 5 else 1.8
        found = q_values(mean_tests(values, weeks).p_value) <= 0.1
        shares.append((found & ~real).sum() / max(found.sum(), 1))
        power_.append(found[real].mean())
        naive = q_values(mean_tests(values, 1).p_value) <= 0.1
        plain.append((naive & ~real).sum() / max(naive.sum(), 1))
    assert np.mean(shares) < 0.1 + 2 * np.std(shares) / np.sqrt(len(shares))
    assert np.mean(plain) > 2 * np.mean(shares)
    assert np.mean(power_) > 0.5


def test_when_nothing_is_there_something_is_found_one_time_in_ten():
    finds = []
    for seed in range(150):
        values = _clustered_null(np.random.default_rng(seed), 200, 50, 5)
        p = mean_tests(values, 5).p_value
        finds.append([(q_values(p, "bh") <= 0.1).any(), (q_values(p, "by") <= 0.1).any()])
    bh, by = np.mean(finds, axis=0)
    assert bh < 0.1 + 2 * np.sqrt(0.09 / 150)
    assert by <= bh


def test_p_values_outside_their_range_are_refused():
    assert q_values(np.zeros(0)).size == 0
    with pytest.raises(DiscoveryDataError):
        q_values(np.array([0.1, np.nan]))
