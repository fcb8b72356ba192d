"""The graph of features: correlated ones are joined, symmetric, unique, whatever the tiles; and its controls."""

from __future__ import annotations

import numpy as np
import pytest

from models.base.rows import TrainingRows
from models.networks.featuregraph import NONE, edge_list, feature_graph


def rows_of(n_rows=3000, features=12, tile=100, seed=3):
    """Features with the same remainder by three share a cause, half of them with the other sign."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(n_rows, 3))
    signs = np.where(np.arange(features) % 2, 1, -1)
    x = causes[:, np.arange(features) % 3] * signs + 0.6 * rng.normal(size=(n_rows, features))
    return TrainingRows((x.round().clip(-2, 2) + 2).astype(np.int8), np.ones(n_rows), tile)


def pairs(table):
    return set(map(tuple, edge_list(table).T.tolist()))


def test_correlated_features_are_neighbours_whatever_their_sign():
    table = feature_graph(rows_of(), "correlation", 3, seed=1)
    assert table.tolist() == [[other for other in range(12) if other != one and (other - one) % 3 == 0]
                              for one in range(12)]  # fmt: skip


@pytest.mark.parametrize("edges", ["correlation", "shuffled"])
def test_the_graph_is_symmetric_unique_without_loops_and_narrow(edges):
    table = feature_graph(rows_of(features=40), edges, 2, seed=1)
    found = pairs(table)
    assert found == {(other, one) for one, other in found}
    assert all(one != other for one, other in found)
    assert len(found) == np.count_nonzero(table != NONE)
    assert table.shape[1] <= 4
    assert np.mean((table != NONE).any(axis=1)) > 0.9  # one whose nearest all have enough has none


def test_the_neighbours_are_those_of_numpys_correlations():
    rows = rows_of(n_rows=500, features=9)
    strength = np.abs(np.corrcoef(rows[slice(None)].T.astype(float))) - np.eye(9)
    first = strength.argmax(axis=1)
    assert pairs(feature_graph(rows, "correlation", 1, seed=1)) <= {
        *zip(first.tolist(), range(9), strict=True), *zip(range(9), first.tolist(), strict=True),
    }  # fmt: skip


def test_tiles_decide_nothing_and_another_seed_samples_other_rows(monkeypatch):
    monkeypatch.setattr("models.networks.featuregraph.SAMPLED_ROWS", 50)
    first = feature_graph(rows_of(tile=100), "correlation", 2, seed=1)
    np.testing.assert_array_equal(first, feature_graph(rows_of(tile=3000), "correlation", 2, seed=1))
    assert pairs(first) != pairs(feature_graph(rows_of(), "correlation", 2, seed=2))


def test_the_control_has_the_same_degrees_and_other_neighbours():
    found = {edges: feature_graph(rows_of(features=40), edges, 3, seed=1) for edges in ("correlation", "shuffled")}
    degrees = [sorted((table != NONE).sum(axis=1)) for table in found.values()]
    assert degrees[0] == degrees[1]
    assert len(pairs(found["correlation"]) & pairs(found["shuffled"])) < len(pairs(found["correlation"])) / 2
    assert feature_graph(rows_of(), "none", 3, seed=1).shape == (12, 0)


def test_constant_features_and_more_neighbours_than_features_do_no_harm():
    x = np.full((50, 4), 2, np.int8)
    x[:, 1] = np.arange(50) % 5
    x[:, 3] = 4 - x[:, 1]
    assert pairs(feature_graph(TrainingRows(x, np.ones(50), 50), "correlation", 9, seed=1)) == {(1, 3), (3, 1)}
    assert feature_graph(TrainingRows(x[:, :1], np.ones(50), 50), "correlation", 2, seed=1).shape == (1, 0)
