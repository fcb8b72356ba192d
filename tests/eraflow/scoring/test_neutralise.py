"""Neutralisation against numerai_tools, over shapes, ties and ranks that are not full."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numerai_tools.scoring import neutralize

from eraflow.scoring.neutralise import (
    Neutraliser,
    is_left,
    mixed,
    neutralise,
    neutralise_by_era,
    residual_by_era,
)
from eraflow.scoring.ranking import EraGroups, ScoreInputError

quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def reference(values, features, proportion=1.0):
    """The official answer. It means to refuse constant columns, but knows them only where their std is exactly zero."""
    with np.errstate(all="ignore"):
        answer = neutralize(pd.DataFrame(values), pd.DataFrame(features), proportion).to_numpy()
    constant = (values == values[:1]).all(axis=0) & (len(values) > 1)
    return np.where(constant, np.nan, answer)


def assert_same(ours, theirs, values):
    """Equal to 1e-6 of a column's standard deviation; NaN where the reference is NaN."""
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    scale = np.where(values.std(axis=0) > 0, values.std(axis=0), 1)
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-6, rtol=0)


def levels(rng, n, width):
    return rng.integers(0, 5, (n, width)).astype(np.int8)


def dependent(rng, features, kind):
    """The features with columns that others explain."""
    n, width = features.shape
    if kind == "constant":
        features[:, rng.integers(width)] = 2
    elif kind == "all constant":
        features[:] = 3
    elif kind == "copy" and width > 1:
        features[:, 0] = features[:, -1]
    elif kind == "sum" and width > 2:
        features[:, 1:3] //= 2
        features[:, 0] = features[:, 1] + features[:, 2]
    elif kind == "one hot" and width > 2:
        features[:, :3] = np.eye(3, dtype=np.int8)[rng.integers(0, 3, n)]
    elif kind == "nearly a copy" and width > 1:
        features[:, 0] = features[:, -1]
        features[rng.integers(n), 0] ^= 1
    return features


DEPENDENT = ("none", "none", "constant", "all constant", "copy", "sum", "one hot", "nearly a copy")


@st.composite
def eras(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, width, k = draw(st.integers(2, 80)), draw(st.integers(1, 30)), draw(st.integers(1, 3))
    features = dependent(rng, levels(rng, n, width), draw(st.sampled_from(DEPENDENT)))
    scale = draw(st.sampled_from(["int8", "quarters", "normal", "large"]))
    if scale != "int8":
        factor = {"quarters": 0.25, "normal": 1.0, "large": 1e4}[scale]
        features = features * factor + (rng.standard_normal(features.shape) if scale == "normal" else 0)
    values = rng.standard_normal((n, k)) * 10.0 ** draw(st.integers(-3, 3)) + draw(st.sampled_from([0.0, 0.5]))
    if draw(st.booleans()):
        values = np.round(values, 1)  # ties
    if draw(st.booleans()):
        values[:, 0] = features[:, 0] - 0.3 * features[:, -1]  # nothing but features
    if draw(st.booleans()):
        values[:, -1] = 0.5
    return values, features, draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1))


@settings(quick, max_examples=200)
@given(eras())
def test_it_equals_numerai_tools(era):
    values, features, proportion = era
    assert_same(neutralise(values, features, proportion), reference(values, features, proportion), values)


@pytest.mark.parametrize(
    ("n", "width", "kind", "method"),
    [
        (600, 120, "none", "cholesky"),
        (600, 120, "constant", "cholesky"),
        (600, 120, "all constant", "none"),
        (600, 120, "copy", "pivoted"),
        (600, 120, "sum", "pivoted"),
        (600, 120, "one hot", "pivoted"),
        (600, 120, "nearly a copy", "cholesky"),
        (121, 120, "none", "lstsq"),
        (60, 120, "none", "lstsq"),
    ],
)
def test_each_road_equals_numerai_tools_at_working_size(n, width, kind, method):
    rng = np.random.default_rng(5)
    features = dependent(rng, levels(rng, n, width), kind)
    values = features[:, :10] @ rng.standard_normal((10, 3)) + rng.standard_normal((n, 3))
    assert Neutraliser(features).method == method
    for proportion in (0.3, 1.0):
        assert_same(neutralise(values, features, proportion), reference(values, features, proportion), values)


@pytest.mark.parametrize("noise", [1e-1, 1e-3, 1e-5, 1e-6, 1e-7, 1e-9, 1e-12])
def test_columns_that_are_almost_dependent_go_the_references_way(noise):
    """Whichever side of its tolerance they lie: there the reference leaves a direction out altogether."""
    rng = np.random.default_rng(6)
    features = rng.integers(0, 5, (300, 20)) / 4
    features[:, 0] = features[:, 1] + noise * rng.standard_normal(300)
    values = rng.standard_normal((300, 2)) + 1e3 * (features[:, :1] - features[:, 1:2]) / max(noise, 1e-9)
    assert_same(neutralise(values, features), reference(values, features), values)


def test_features_of_very_different_scales_go_the_references_way():
    rng = np.random.default_rng(7)
    features = rng.standard_normal((200, 6)) * 10.0 ** np.array([0, 1, -3, 5, -8, 2])
    values = features @ rng.standard_normal((6, 2)) + features[:, 4:5] * 1e8
    assert_same(neutralise(values, features), reference(values, features), values)


def test_wide_integers_do_not_lose_bits():
    rng = np.random.default_rng(8)
    features = rng.integers(-128, 128, (1500, 5)).astype(np.int8)
    values = features @ rng.standard_normal((5, 1))
    values += rng.standard_normal(values.shape)
    assert_same(neutralise(values, features), reference(values, features), values)


def test_the_order_of_the_bytes_in_memory_changes_no_bit():
    """The era store gives views, gathered columns or copies; what is judged must be what is sent."""
    rng = np.random.default_rng(9)
    wide = levels(rng, 700, 90)
    chosen = np.arange(5, 85)
    values = rng.standard_normal(700)
    ours = [
        neutralise(values, features)
        for features in (
            wide[:, 5:85],
            wide[:, chosen],
            np.asfortranarray(wide[:, 5:85]),
            np.ascontiguousarray(wide[:, 5:85]),
        )
    ]
    for other in ours[1:]:
        np.testing.assert_array_equal(ours[0], other)


def test_one_column_is_as_good_as_a_table():
    rng = np.random.default_rng(10)
    features, values = levels(rng, 50, 4), rng.standard_normal(50)
    one = neutralise(values, features, 0.5)
    assert one.shape == (50,)
    np.testing.assert_allclose(one, neutralise(values[:, None], features, 0.5)[:, 0], atol=1e-12)
    assert neutralise(np.empty((0, 2)), np.empty((0, 3), dtype=np.int8)).shape == (0, 2)


def test_what_is_left_has_no_exposure_and_neutralising_again_changes_nothing():
    rng = np.random.default_rng(11)
    features = levels(rng, 400, 30)
    values = features[:, 0] + rng.standard_normal(400)
    left = neutralise(values, features)
    exposures = [np.corrcoef(left, column)[0, 1] for column in features.T.astype(float)]
    np.testing.assert_allclose(exposures, 0, atol=1e-10)
    np.testing.assert_allclose(neutralise(left, features), left, atol=1e-10)


@pytest.mark.parametrize(
    ("values", "features", "proportion", "text"),
    [
        (np.array([1.0, np.nan, 2.0]), np.zeros((3, 1), np.int8), 1.0, "a prediction is NaN"),
        (np.arange(3.0), np.array([[1.0], [np.nan], [2.0]]), 1.0, "a feature is NaN"),
        (np.arange(3.0), np.zeros((2, 1), np.int8), 1.0, "shape"),
        (np.arange(3.0), np.zeros((3, 1), np.int8), 1.5, "proportion"),
        (np.arange(3.0), np.zeros((3, 1), np.int8), float("nan"), "proportion"),
    ],
)
def test_bad_input_is_named(values, features, proportion, text):
    with pytest.raises(ScoreInputError, match=text):
        neutralise(values, features, proportion)


def week(seed=12, sizes=(90, 5, 120, 0, 60)):
    rng = np.random.default_rng(seed)
    groups = EraGroups.from_sizes(sizes)
    features = levels(rng, groups.n_rows, 8)
    return rng.standard_normal(groups.n_rows) + features[:, 0], features, groups


def by_position(features, groups):
    return lambda era: features[groups.offsets[era] : groups.offsets[era + 1]]


def test_eras_are_neutralised_one_by_one():
    values, features, groups = week()
    ours = neutralise_by_era(values, by_position(features, groups), groups, 0.6)
    for era, (start, stop) in enumerate(zip(groups.offsets[:-1], groups.offsets[1:], strict=True)):
        if stop > start:
            theirs = reference(values[start:stop, None], features[start:stop], 0.6)[:, 0]
            np.testing.assert_allclose(ours[start:stop], theirs, atol=1e-6, err_msg=f"era {era}")


def test_one_factorisation_serves_every_proportion_to_the_last_bit():
    values, features, groups = week()
    residual = residual_by_era(values, by_position(features, groups), groups)
    for proportion in (0.25, 1.0):
        ours = neutralise_by_era(values, by_position(features, groups), groups, proportion)
        np.testing.assert_array_equal(mixed(values, residual, proportion), ours)


def test_a_constant_era_stays_and_an_explained_one_becomes_nothing():
    values, features, groups = week()
    values[:90] = 0.25  # the first era says nothing; the second has fewer rows than features
    ours = neutralise_by_era(values, by_position(features, groups), groups, 1.0)
    np.testing.assert_array_equal(ours[:90], 0.25)
    np.testing.assert_array_equal(ours[90:95], 0)
    assert is_left(ours[95:215], values[95:215])
    half = neutralise_by_era(values, by_position(features, groups), groups, 0.5)
    np.testing.assert_allclose(half[90:95], values[90:95] / 2)


def test_proportion_zero_reads_no_features():
    values, _, groups = week()

    def unwanted(era):
        raise AssertionError(era)

    assert neutralise_by_era(values, unwanted, groups, 0.0) is values
