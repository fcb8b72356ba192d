"""Trees by sets of rows say what LightGBM says, to the last bit."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.delivery.lightgbmtrees import tree_arrays
from models.delivery.treearrays import level_sets, tree_predictions

FEATURES = 9


def model(seed=0, trees=40, **over):
    """A model of five levels, and its text."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 5, (400, FEATURES))
    y = x[:, 0] - x[:, 1] * x[:, 2] + rng.normal(size=400)
    usual = {"objective": "regression", "num_leaves": 31, "max_depth": 5, "min_data_in_leaf": 3, "verbosity": -1}
    usual |= {"num_threads": 1, "learning_rate": 0.1}
    made = lightgbm.train({**usual, **over}, lightgbm.Dataset(x.astype(np.float32), y), trees)
    return made, made.model_to_string()


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 9),
    trees=st.sampled_from([1, 31, 33, 70]),
    leaves=st.sampled_from([2, 5, 31, 120]),
    depth=st.integers(1, 10),
    rows=st.sampled_from([1, 63, 64, 65, 300]),
)
def test_the_sums_are_those_of_lightgbm_to_the_last_bit(seed, trees, leaves, depth, rows):
    made, text = model(seed, trees, num_leaves=leaves, max_depth=depth)
    codes = np.random.default_rng(seed).integers(0, 5, (rows, FEATURES), dtype=np.int8)
    arrays = tree_arrays(text)
    assert arrays is not None
    np.testing.assert_array_equal(tree_predictions(arrays, codes), made.predict(codes, num_threads=1))


@pytest.mark.parametrize(
    "over",
    [
        {"max_depth": -1, "num_leaves": 300, "min_data_in_leaf": 1},
        {"linear_tree": True},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"objective": "poisson"},
        {"categorical_feature": [0, 1]},
    ],
    ids=["deep", "linear", "forest", "objective", "categories"],
)
def test_what_it_cannot_compute_is_left_to_the_library(over):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (400, FEATURES))
    y = np.abs(x[:, 0] - x[:, 1] * x[:, 2] + rng.normal(size=400))
    usual = {"objective": "regression", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 3}
    categories = over.pop("categorical_feature", "auto") if "categorical_feature" in over else "auto"
    data = lightgbm.Dataset(x.astype(np.float32), y, categorical_feature=categories)
    assert tree_arrays(lightgbm.train({**usual, **over}, data, 20).model_to_string()) is None


def test_trees_without_a_split_only_add_their_leaf():
    made, text = model(trees=3, min_data_in_leaf=150, num_leaves=3)
    codes = np.zeros((5, FEATURES), np.int8)
    arrays = tree_arrays(text)
    expected = made.predict(codes, num_threads=1)
    assert arrays is not None
    np.testing.assert_array_equal(tree_predictions(arrays, codes), expected)


def test_sets_hold_the_rows_from_each_level_on():
    codes = np.array([[0, 4], [1, 3], [2, 0]], np.int8)
    sets = level_sets(codes)
    assert sets.shape == (2, 4, 1)
    assert sets[:, :, 0].tolist() == [[0b110, 0b100, 0, 0], [0b011, 0b011, 0b011, 0b001]]
