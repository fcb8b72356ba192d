"""Targets standardised within eras, and which eras are kept back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from models.base.wholeeras import FitEras
from models.networks import eratargets
from models.networks.eratargets import keep_back, known_offsets, standardised

OFFSETS = np.arange(0, 201, 10)


def eras_of(purge=3, length=None, weeks=None):
    return FitEras(OFFSETS, np.arange(100, 120) if weeks is None else weeks, purge, length)


def target():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200) * np.repeat(np.arange(1, 21), 10) + np.repeat(np.arange(20), 10)
    y[::7] = np.nan
    return y


def test_every_era_has_mean_0_and_variance_1():
    y = target()
    y[40:50] = np.nan
    known = ~np.isnan(y)
    offsets = known_offsets(y, OFFSETS)
    assert len(offsets) == len(OFFSETS) - 1
    found = standardised(y[known].astype(np.float32), offsets)
    assert found.dtype == np.float32
    for start, stop in pairwise(offsets):
        assert found[start:stop].mean() == pytest.approx(0, abs=1e-6)
        assert found[start:stop].std() == pytest.approx(1, abs=1e-5)


def test_an_era_of_equal_targets_is_0_and_hurts_no_other():
    labels = np.array([0.1, 0.1, 0.1, 0, 1], np.float32)
    np.testing.assert_array_equal(standardised(labels, np.array([0, 3, 5])), [0, 0, 0, -1, 1])


def test_the_last_eras_are_kept_back_and_the_purge_before_them_is_not_learnt():
    y = target()
    kept = keep_back(y, eras_of(purge=3), 0.25)
    assert kept.eras == tuple((start, start + 10) for start in range(150, 200, 10))
    # Weeks 100 to 119: 115 is the first kept back, so 111 is the last whose labels do not reach it.
    np.testing.assert_array_equal(kept.target[:120], y[:120])
    assert np.isnan(kept.target[120:]).all()


def test_weeks_count_not_places():
    kept = keep_back(target(), eras_of(purge=3, weeks=np.arange(100, 180, 4)), 0.25)
    assert np.flatnonzero(~np.isnan(kept.target)).max() >= 145


def test_eras_without_a_known_target_are_not_counted():
    y = target()
    y[160:] = np.nan
    assert keep_back(y, eras_of(), 0.25).eras == tuple((start, start + 10) for start in range(120, 160, 10))


@pytest.mark.parametrize(
    ("eras", "share"),
    [(eras_of(length=0.4), 0.25), (eras_of(), 0.0), (eras_of(), 0.15), (eras_of(purge=9), 0.25)],
    ids=["the length is stated", "no share", "too few to judge by", "too few to learn from"],
)
def test_none_are_kept_back(eras, share):
    assert keep_back(target(), eras, share) is None


def test_of_many_rows_some_eras_are_judged(monkeypatch):
    monkeypatch.setattr(eratargets, "MOST_KEPT_ROWS", 20)
    assert keep_back(target(), eras_of(), 0.25).eras == ((150, 160), (180, 190))
