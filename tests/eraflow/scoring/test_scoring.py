"""Every score equals numerai_tools to 1e-9, whatever the ties, gaps and sizes; and a run's scores add up."""

import json
import warnings
from dataclasses import dataclass

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
from eraflow.scoring.ranking import EraGroups, ScoreInputError
from eraflow.scoring.scoring import ModelScores, NothingToScoreError, score_predictions
from tests.eraflow.scoring import reference
from tests.eraflow.scoring.memory_store import MemoryStore

LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
EXTREMES = np.array([0.0, -0.0, 1e-300, -1e-300, 1e300, -1e300, np.inf, -np.inf, 0.5, 1.0])
quick = settings(max_examples=60, deadline=None)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::scipy.stats.ConstantInputWarning")


@dataclass
class Week:
    """Eras of one drawn example, rows aligned, ids in no order."""

    groups: EraGroups
    ids: np.ndarray
    predictions: np.ndarray
    meta: np.ndarray
    target: np.ndarray
    features: np.ndarray


def _values(rng, kind, n):
    if kind == "smooth":
        return rng.standard_normal(n)
    if kind == "ties":
        return rng.integers(0, 4, n) / 4.0
    if kind == "extreme":
        return rng.choice(EXTREMES, n)
    if kind == "close":  # values that differ in their last bits only
        return rng.choice([-1.0, 1.0], n) * (1 + np.finfo(float).eps * rng.integers(0, 60, n))
    return np.full(n, 0.5)


def _with_gaps(rng, values, share):
    return np.where(rng.random(len(values)) < share, np.nan, values)


@st.composite
def weeks(draw, columns=1, kinds=("smooth", "ties", "extreme", "close", "constant"), gaps=(0.0, 0.05, 0.3)):
    sizes = draw(st.lists(st.one_of(st.integers(0, 6), st.integers(7, 60)), min_size=1, max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = sum(sizes)
    table = np.stack([_values(rng, draw(st.sampled_from(kinds)), n) for _ in range(columns)], axis=1)
    table = np.stack([_with_gaps(rng, table[:, j], draw(st.sampled_from(gaps))) for j in range(columns)], axis=1)
    scale, shift = draw(st.sampled_from([(1.0, 0.0), (4.0, -2.0), (1.0, -0.5)]))
    return Week(
        groups=EraGroups.from_sizes(sizes),
        ids=np.array([f"n{i:06d}" for i in rng.permutation(n)], dtype=object),
        predictions=table[:, 0] if columns == 1 else table,
        meta=_with_gaps(rng, _values(rng, draw(st.sampled_from(kinds)), n), draw(st.sampled_from(gaps))),
        target=_with_gaps(rng, rng.choice(LEVELS, n) * scale + shift, draw(st.sampled_from(gaps))),
        features=rng.integers(0, 5, (n, 4)).astype(np.int8),
    )


def assert_same(ours, theirs, groups):
    """Equal to 1e-9, NaN where the reference says NaN; where it refuses for another reason, nothing is claimed."""
    assert len(ours) == len(theirs) == groups.n_eras
    for era, answer in enumerate(theirs):
        if answer is not reference.REFUSED:
            expected = np.broadcast_to(answer, ours[era].shape or (1,))
            np.testing.assert_allclose(np.atleast_1d(ours[era]), expected, rtol=0, atol=1e-9)


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
    """Whether the reference's FNC is a property of the data: rows left over after the fit, and a target that varies."""
    rows = slice(week.groups.offsets[era], week.groups.offsets[era + 1])
    known = ~np.isnan(week.predictions[rows])
    design = np.hstack([features[rows][known], np.ones((known.sum(), 1))])
    kept = week.target[rows][known & ~np.isnan(week.target[rows])]
    return (
        known.sum() >= 2
        and np.linalg.matrix_rank(design) < known.sum() - 1
        and kept.size > 0
        and kept.min() < kept.max()
    )


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


@pytest.mark.parametrize("sizes", [[3, 3, 3], [1, 2, 9], [1000, 1, 1, 1, 1, 1, 1, 1], [0, 4, 0]])
@pytest.mark.parametrize("kind", ["extreme", "ties", "close"])
def test_every_way_of_sorting_gives_the_same_ranks(sizes, kind):
    groups = EraGroups.from_sizes(sizes)
    values = _values(np.random.default_rng(7), kind, groups.n_rows)
    order = SortedPredictions(values, groups).orders[0]
    ranks = np.empty(groups.n_rows)
    ranks[order.rows] = order.ranks()
    for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        era = values[start:stop]
        expected = [(era < x).sum() + ((era == x).sum() + 1) / 2 for x in era]
        np.testing.assert_array_equal(ranks[start:stop], expected)


def test_arrays_that_do_not_fit_are_refused():
    groups = EraGroups.from_labels(["0001", "0001", "0002"])
    assert groups.sizes.tolist() == [2, 1]
    with pytest.raises(ScoreInputError, match="target of shape"):
        era_corr(np.zeros(3), np.zeros(2), groups)
    with pytest.raises(ScoreInputError, match="predictions of shape"):
        era_corr(np.zeros(4), np.zeros(3), groups)
    with pytest.raises(ScoreInputError, match="scattered"):
        EraGroups.from_labels(["0001", "0002", "0001"])
    with pytest.raises(ScoreInputError, match="features of shape"):
        era_fnc(np.zeros(3), np.zeros((2, 1), dtype=np.int8), np.zeros(3), groups)
    with pytest.raises(ScoreInputError, match="NaN"):
        era_fnc(np.arange(3.0), np.full((3, 1), np.nan), np.zeros(3), groups)


def _score(store, predictions, **changes):
    asked = {
        "eras": store.eras,
        "target": "target_x_20",
        "horizon_days": 20,
        "benchmark": "bench",
        "meta_model": "meta",
        "fnc_features": store.features[:3],
    }
    return score_predictions(store, predictions, **{**asked, **changes})


def test_each_metric_stands_on_the_eras_it_covers():
    store = MemoryStore()
    scores = _score(store, store.signal)
    assert {name: summary.eras for name, summary in scores.summary.items()} == {
        "corr": 37,
        "bmc": 27,
        "benchmark_corr": 30,
        "mmc": 7,
        "fnc": 37,
        "max_exposure": 40,
    }
    assert scores.summary["mmc"].first_era == "0031"
    assert scores.summary["mmc"].last_era == "0037"
    assert scores.summary["mmc"].low == -np.inf, "seven eras are too few for a bound"
    assert scores.missing_predictions == 0
    assert scores.unscored_eras == ()
    groups = EraGroups(store.offsets())
    np.testing.assert_array_equal(
        scores.per_era["corr"].values, era_corr(store.signal, store.columns["target_x_20"], groups)[:37]
    )
    fnc = era_fnc(store.signal, store.levels[:, :3], store.columns["target_x_20"], groups)[:37]
    np.testing.assert_array_equal(scores.per_era["fnc"].values, fnc)
    assert scores.summary["fnc"].mean < scores.summary["corr"].mean / 2, "the first three features are the signal"


def test_scores_survive_json_exactly():
    scores = _score(MemoryStore(), MemoryStore().signal)
    written = json.dumps(scores.as_dict(), allow_nan=False)
    assert ModelScores.from_dict(json.loads(written)) == scores


def test_missing_and_constant_predictions_are_counted_not_hidden():
    store = MemoryStore()
    predictions = store.signal.copy()
    predictions[:5] = np.nan
    predictions[5] = np.inf
    predictions[300:400] = 0.5
    scores = _score(store, predictions, fnc_features=None, benchmark=None, meta_model=None)
    assert scores.missing_predictions == 6
    assert scores.unscored_eras == ("0004",)
    assert scores.summary["corr"].eras == 36
    assert set(scores.summary) == {"corr", "max_exposure"}


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_prediction_is_none_in_every_score(value):
    store = MemoryStore()
    infinite, missing = store.signal.copy(), store.signal.copy()
    infinite[::17], missing[::17] = value, np.nan
    assert _score(store, infinite).as_dict() == _score(store, missing).as_dict()
    assert "max_exposure" in _score(store, infinite).summary


def test_nothing_to_score_is_named():
    store = MemoryStore()
    with pytest.raises(NothingToScoreError, match=r"all predictions are 0\.5"):
        _score(store, np.full(4000, 0.5))
    with pytest.raises(NothingToScoreError, match="no era has a CORR"):
        _score(store, np.full(4000, np.nan))
    for few in (1, 60):  # also where they are equal: that says nothing of a model
        with pytest.raises(NothingToScoreError, match=r"80% of its rows have a prediction"):
            _score(store, np.where(np.arange(4000) < few, 0.5, np.inf))
    with pytest.raises(NothingToScoreError, match="300 without target_x_20"):
        _score(store, store.signal[-300:], eras=store.eras[-3:])
    with pytest.raises(ScoreInputError, match="predictions of shape"):
        _score(store, store.signal[1:])
    with pytest.raises(ScoreInputError, match="feature_none"):
        _score(store, store.signal, fnc_features=["feature_none"])


def test_a_good_score_vanishes_when_targets_are_shuffled_within_eras():
    store = MemoryStore(seed=9, n_eras=120)
    assert _score(store, store.signal, fnc_features=None).summary["corr"].low > 0
    rng = np.random.default_rng(10)
    for start in range(0, len(store.signal), store.rows_per_era):
        rng.shuffle(store.columns["target_x_20"][start : start + store.rows_per_era])
    shuffled = _score(store, store.signal, fnc_features=None)
    for metric in ("corr", "bmc"):
        summary = shuffled.summary[metric]
        assert summary.low < 0 < summary.high, metric
        assert abs(summary.mean) < 0.03, metric
