"""Groups of features: named ones of the columns that are used, correlated ones, and the control by chance."""

from __future__ import annotations

import numpy as np

from models.base.rows import Columns, TrainingRows
from models.networks.featuregroups import correlated_groups, named_groups, shuffled_groups


def test_named_groups_become_positions_among_the_used_columns():
    groups = {"a": (0, 2), "b": (3, 2, 9), "gone": (8,)}
    assert named_groups(groups, Columns(), 5) == {"a": (0, 2), "b": (3,), "others": (1, 4)}
    assert named_groups(groups, Columns([2, 3, 4]), 10) == {"a": (0,), "b": (1,), "others": (2,)}
    assert named_groups({"a": (0, 1)}, Columns(), 2) == {"a": (0, 1)}
    assert named_groups({}, Columns(), 2) == {}


def test_features_that_go_together_are_grouped_whatever_their_sign_and_order():
    rng = np.random.default_rng(3)
    causes = rng.normal(size=(3000, 3))
    cause = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    signs = np.where(np.arange(12) % 2, 1, -1)
    x = (causes[:, cause] * signs + 0.6 * rng.normal(size=(3000, 12))).round().clip(-2, 2).astype(np.int8) + 2
    found = correlated_groups(TrainingRows(x, np.ones(3000), 100), 3)
    assert sorted(found.values()) == [(0, 3, 6, 9), (1, 4, 7, 10), (2, 5, 8, 11)]
    assert correlated_groups(TrainingRows(x, np.ones(3000), 3000), 3) == found  # tiles decide nothing


def test_constant_features_and_more_groups_than_features_do_no_harm():
    x = np.full((50, 4), 2, np.int8)
    x[:, 1] = np.arange(50) % 5
    found = correlated_groups(TrainingRows(x, np.ones(50), 50), 9)
    assert sorted(at for members in found.values() for at in members) == [0, 1, 2, 3]
    assert len(found) == 4
    assert correlated_groups(TrainingRows(x[:, :1], np.ones(50), 50), 3) == {"correlated_1": (0,)}


def test_the_control_keeps_the_sizes():
    groups = {"a": (0, 1, 2), "b": (3,), "c": (4, 5, 6, 7, 8)}
    control = shuffled_groups(groups, 1)
    assert {name: len(members) for name, members in control.items()} == {"a": 3, "b": 1, "c": 5}
    assert sorted(at for members in control.values() for at in members) == list(range(9))
    assert control == shuffled_groups(groups, 1) != shuffled_groups(groups, 2)
