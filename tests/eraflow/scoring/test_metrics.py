"""CORR, contribution and rank correlation equal numerai_tools to 1e-9, whatever the ties, gaps and sizes."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.scoring.exposure import era_fnc, era_max_exposure
from eraflow.scoring.metrics import (
    PreparedContribution,
    PreparedCorr,
    SortedPredictions,
    era_contribution,
    era_corr,
    era_correlation_with,
)
from eraflow.scoring.ranking import EraGroups
from tests.eraflow.scoring import reference
from tests.eraflow.scoring.drawnweeks import LEVELS, assert_same, quick, weeks

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::scipy.stats.ConstantInputWarning")


def _constant_target(week, known):
    """Eras whose kept targets are all the same: there the reference divides rounding errors, and we say NaN."""
    eras = []
    for start, stop in zip(week.groups.offsets[:-1], week.groups.offsets[1:], strict=True):
        kept = week.target[start:stop][known[start:stop]]
        eras.append(kept.size > 0 and kept.min() == kept.max())
    return np.array(eras, dtype=bool)


def _compare_corr(week):
    ours = era_corr(week.predictions, week.target, week.groups)
    theirs = reference.corr(week.predictions, week.target, week.groups, week.ids)
    missing = np.isnan(week.predictions)
    known = ~np.isnan(week.target) & ~(missing.any(axis=1) if missing.ndim == 2 else missing)
    constant = _constant_target(week, known)
    assert np.isnan(ours[constant]).all()
    assert_same(ours, [reference.REFUSED if constant[i] else answer for i, answer in enumerate(theirs)], week.groups)


@quick
@given(weeks())
def test_corr_equals_numerai_tools(week):
    _compare_corr(week)


@quick
@given(weeks(columns=3))
def test_corr_of_several_columns_drops_a_row_that_any_of_them_lacks(week):
    _compare_corr(week)


@quick
@given(weeks())
def test_contribution_equals_numerai_tools(week):
    ours = era_contribution(week.predictions, week.meta, week.target, week.groups)
    theirs = reference.contribution(week.predictions, week.meta, week.target, week.groups, week.ids)
    assert_same(ours, theirs, week.groups)


@settings(quick, max_examples=30)
@given(weeks(columns=2))
def test_contribution_of_several_columns(week):
    ours = era_contribution(week.predictions, week.meta, week.target, week.groups)
    theirs = reference.contribution(week.predictions, week.meta, week.target, week.groups, week.ids)
    assert_same(ours, theirs, week.groups)


@settings(quick, max_examples=30)
@given(weeks(kinds=("smooth", "ties", "constant")))
def test_rank_correlation_equals_numerai_tools(week):
    ours = era_correlation_with(week.predictions, week.meta, week.groups)
    assert_same(ours, reference.rank_correlation(week.predictions, week.meta, week.groups, week.ids), week.groups)


@settings(quick, max_examples=30)
@given(weeks(), weeks())
def test_a_prepared_score_is_the_same_and_sorting_is_shared(week, other):
    prepared = PreparedCorr(week.target, week.groups)
    contribution = PreparedContribution(week.meta, week.target, week.groups)
    twice = np.resize(other.predictions, week.groups.n_rows) if other.groups.n_rows else week.predictions
    for predictions in (week.predictions, twice, week.predictions):
        ordered = SortedPredictions(predictions, week.groups)
        np.testing.assert_array_equal(prepared.of(ordered), era_corr(predictions, week.target, week.groups))
        expected = era_contribution(predictions, week.meta, week.target, week.groups)
        np.testing.assert_array_equal(contribution.of(ordered), expected)


@settings(quick, max_examples=30)
@given(weeks(), st.sampled_from(["cube", "rank"]))
def test_only_the_ranking_of_predictions_counts(week, how):
    finite = np.clip(week.predictions, -1e3, 1e3)
    moved = finite**3 if how == "cube" else np.unique(finite, return_inverse=True)[1].astype(float)
    moved[np.isnan(finite)] = np.nan
    if len(np.unique(finite[~np.isnan(finite)])) != len(np.unique(moved[~np.isnan(moved)])):
        return  # the cube of 1e-300 is 0: no longer the same ranking
    np.testing.assert_allclose(
        era_corr(finite, week.target, week.groups), era_corr(moved, week.target, week.groups), rtol=0, atol=1e-12
    )


def test_a_fifth_of_the_rows_may_be_missing_and_no_more():
    rng = np.random.default_rng(6)
    groups = EraGroups.from_sizes([10, 10])
    predictions, target = rng.standard_normal(20), np.tile(np.repeat(LEVELS, 2), 2)
    predictions[[0, 1]] = np.nan
    predictions[[10, 11, 12]] = np.nan
    scores = era_corr(predictions, target, groups)
    assert np.isfinite(scores[0])
    assert np.isnan(scores[1])


def test_no_warning_reaches_the_user():
    groups = EraGroups.from_sizes([0, 1, 2, 30])
    target = np.concatenate([[0.5, 0.25, np.inf], np.full(30, 0.5)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for predictions in (np.full(33, 0.1), np.full(33, np.nan), np.arange(33.0), np.full(33, 1e300)):
            era_corr(predictions, target, groups)
            era_contribution(predictions, np.ones(33), target, groups)
            era_correlation_with(predictions, np.ones(33), groups)
            era_max_exposure(predictions, np.full((33, 2), 2, dtype=np.int8), groups)
            era_fnc(predictions, np.full((33, 2), 2, dtype=np.int8), target, groups)
