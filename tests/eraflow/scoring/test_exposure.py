"""FNC and the largest exposure equal numerai_tools to 1e-9, whatever the ties, gaps and sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import rankdata

from eraflow.scoring.exposure import era_fnc, era_max_exposure
from eraflow.scoring.ranking import EraGroups
from tests.eraflow.scoring import reference
from tests.eraflow.scoring.drawnweeks import LEVELS, assert_same, quick, weeks

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::scipy.stats.ConstantInputWarning")


@settings(quick, max_examples=40)
@given(weeks(), st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_fnc_equals_numerai_tools(week, seed, width):
    features = _features(week, seed, width)
    # Few rows and levels leave residuals that tie up to rounding; with rows in the order of ids rounding agrees too.
    week.ids = np.sort(week.ids)
    ours = era_fnc(week.predictions, features, week.target, week.groups)
    theirs = reference.fnc(week.predictions, features, week.target, week.groups, week.ids)
    settled = [_settled(week, features, era) for era in range(week.groups.n_eras)]
    assert_same(ours, [a if ok else reference.REFUSED for a, ok in zip(theirs, settled, strict=True)], week.groups)


def _features(week, seed, width):
    """Levels with, at times, a constant column, a copy and a sum of two others: ranks that are not full."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 5, (week.groups.n_rows, width)).astype(np.int8)
    if rng.random() < 0.3:
        features[:, 0] = 2
    if width > 2 and rng.random() < 0.3:
        features[:, 1] = features[:, 2]
    return features


def _settled(week, features, era):
    """Whether the reference's FNC is a property of the data: rows left over after the fit, a target that varies, and no
    two residuals whose order is that of their rounding.
    """
    rows = slice(week.groups.offsets[era], week.groups.offsets[era + 1])
    known = ~np.isnan(week.predictions[rows])
    design = np.hstack([features[rows][known], np.ones((known.sum(), 1))])
    kept = week.target[rows][known & ~np.isnan(week.target[rows])]
    return (
        known.sum() >= 2
        and np.linalg.matrix_rank(design) < known.sum() - 1
        and kept.size > 0
        and kept.min() < kept.max()
        and np.diff(np.sort(_left_over(week.predictions[rows][known], design))).min() > 1e-9
    )


def _left_over(predictions, design):
    ranks = ndtri((rankdata(predictions) - 0.5) / len(predictions))
    return ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]


def test_fnc_at_working_size_with_dependent_columns():
    rng = np.random.default_rng(3)
    groups = EraGroups.from_sizes([700, 500, 640])
    features = rng.integers(0, 5, (groups.n_rows, 60)).astype(np.int8)
    features[700:, 7] = 2
    features[1200:, 9] = features[1200:, 8]
    signal = features[:, :20] @ rng.standard_normal(20) * 0.3 + rng.standard_normal(groups.n_rows)
    target = np.digitize(signal, np.quantile(signal, [0.05, 0.25, 0.75, 0.95])) / 4
    predictions = signal + 3 * rng.standard_normal(groups.n_rows)
    ids = np.array([f"n{i:06d}" for i in rng.permutation(groups.n_rows)], dtype=object)
    ours = era_fnc(predictions, features, target, groups)
    assert_same(ours, reference.fnc(predictions, features, target, groups, ids), groups)
    table = np.stack([predictions, -predictions], axis=1)
    np.testing.assert_allclose(era_fnc(table, features, target, groups), np.stack([ours, -ours], axis=1), atol=1e-9)
    as_floats = era_fnc(predictions, features.astype(np.float64), target, groups)
    np.testing.assert_allclose(as_floats, ours, atol=1e-9)


def test_fnc_is_nan_where_the_features_explain_everything():
    rng = np.random.default_rng(4)
    groups = EraGroups.from_sizes([6, 200])
    features = rng.integers(0, 5, (206, 8)).astype(np.int8)
    features[6:, 0] = np.arange(200) % 2  # a prediction of two values that is this feature
    scores = era_fnc(features[:, 0].astype(float), features, rng.choice(LEVELS, 206), groups)
    assert np.isnan(scores).all()


@settings(quick, max_examples=40)
@given(weeks(kinds=("smooth", "ties", "constant"), gaps=(0.0,)), st.booleans())
def test_exposure_equals_numerai_tools(week, constant_column):
    features = week.features.copy()
    if constant_column:
        features[:, 1] = 2
    ours = era_max_exposure(week.predictions, features, week.groups)
    for era, (start, stop) in enumerate(zip(week.groups.offsets[:-1], week.groups.offsets[1:], strict=True)):
        values, block = week.predictions[start:stop], features[start:stop]
        if stop - start < 2 or values.min() == values.max() or (block == block[0]).all():
            assert np.isnan(ours[era])
            continue
        one = EraGroups.from_sizes([stop - start])
        theirs = reference.exposure(values, block, one, week.ids[start:stop])
        np.testing.assert_allclose(ours[era], theirs[0][0], rtol=0, atol=1e-9)


def test_exposure_leaves_out_rows_without_a_prediction_up_to_a_fifth():
    rng = np.random.default_rng(5)
    groups = EraGroups.from_sizes([100, 100])
    features = rng.integers(0, 5, (200, 3)).astype(np.int8)
    predictions = features[:, 1] + rng.standard_normal(200)
    predictions[:10], predictions[100:130] = np.nan, np.nan
    scores = era_max_exposure(predictions, features, groups)
    assert scores[0] == pytest.approx(abs(np.corrcoef(predictions[10:100], features[10:100, 1])[0, 1]))
    assert np.isnan(scores[1])
