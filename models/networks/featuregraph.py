"""The graph whose nodes are features: edges join those that are correlated in the rows learnt from, or the controls."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.base.rows import TrainingRows, tiles

Table = npt.NDArray[np.int64]
"""int64[f, s]: the neighbours of each feature, ascending; a row with fewer than s ends in NONE."""
NONE = -1
EDGES = ("correlation", "shuffled", "none")
SAMPLED_ROWS = 4096
"""For correlations: their error is 1.6 % then."""
TILE_ROWS = 256
CODE = 2
"""The middle code. Sums of products of the others' distances from it are whole numbers, exact in float64."""
GRAPH_STREAM, SHUFFLED_STREAM = 59, 61
"""Set the sampled rows and the shuffled edges apart from what else is drawn with a fit's seed."""


def feature_graph(rows: TrainingRows, edges: str, nearest: int, seed: int) -> Table:
    """The neighbours of each feature, symmetric and unique, none of itself.

    Args:
        rows: what is learnt from; the correlations are those of at most SAMPLED_ROWS of them. Memory: 16 bytes for
            each pair of features, 10 KiB a feature besides.
        edges: `correlation`; the controls are `shuffled`, the same graph over features that are drawn by chance, and
            `none`.
        nearest: how many neighbours a feature asks for. It has at most twice as many: others ask for it, too. Where all
            that it asks for have so many, it has none.
        seed: of the fit.
    """
    if edges == "none":
        return np.empty((rows.n_features, 0), dtype=np.int64)
    rng = np.random.default_rng([seed, GRAPH_STREAM])
    picked = np.sort(rng.choice(rows.n_rows, min(rows.n_rows, SAMPLED_ROWS), replace=False, shuffle=False))
    pairs = _joined(_nearest(_products(rows, picked), len(picked), nearest), rows.n_features, 2 * nearest)
    if edges == "shuffled":
        pairs = np.random.default_rng([seed, SHUFFLED_STREAM]).permutation(rows.n_features)[pairs]
    return _table(pairs, rows.n_features)


def edge_list(table: Table) -> npt.NDArray[np.int64]:
    """int64[2, e]: source and target of every edge of a table, each pair in both directions."""
    targets, slots = np.nonzero(table != NONE)
    return np.stack([table[targets, slots], targets])


def _products(rows: TrainingRows, picked: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """float64[f + 1, f + 1]: sums of products of the features and, last, of a column of ones."""
    total = np.zeros((rows.n_features + 1, rows.n_features + 1))
    for part in tiles(len(picked), TILE_ROWS):
        codes = rows.take(picked[part])
        wide = np.ones((len(codes), rows.n_features + 1))
        np.subtract(codes, CODE, out=wide[:, :-1], dtype=np.float64)
        total += wide.T @ wide
    return total


def _nearest(products: npt.NDArray[np.float64], n_rows: int, nearest: int) -> npt.NDArray[np.float64]:
    """float64[p, 3]: |correlation| and both features of each pair of which one is among the other's nearest."""
    sums = products[-1, :-1]
    variances = n_rows * products.diagonal()[:-1] - np.square(sums)
    found = []
    for block in tiles(len(sums), TILE_ROWS):
        scale = np.sqrt(np.outer(variances[block], variances))
        shared = n_rows * products[block, :-1] - np.outer(sums[block], sums)
        strength = np.abs(np.divide(shared, scale, out=np.zeros_like(shared), where=scale > 0))
        features = np.arange(block.start, block.stop)
        strength[np.arange(len(features)), features] = 0  # a feature is no neighbour of its own
        order = np.argsort(-strength, axis=1, kind="stable")[:, :nearest]
        own = np.repeat(features, order.shape[1])
        chosen = np.take_along_axis(strength, order, axis=1).ravel()
        found.append(np.stack([chosen, np.minimum(own, order.ravel()), np.maximum(own, order.ravel())], axis=1))
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[pairs[:, 0] > 0]  # a constant feature has no neighbour


def _joined(pairs: npt.NDArray[np.float64], n_features: int, most: int) -> npt.NDArray[np.int64]:
    """int64[p, 2]: the strongest pairs first, as long as neither feature has too many: the table stays narrow."""
    degree = [0] * n_features
    joined = []
    for one, other in pairs[np.lexsort((pairs[:, 2], pairs[:, 1], -pairs[:, 0])), 1:].astype(np.int64).tolist():
        if degree[one] < most and degree[other] < most:
            degree[one] += 1
            degree[other] += 1
            joined.append((one, other))
    return np.array(joined, dtype=np.int64).reshape(-1, 2)


def _table(pairs: npt.NDArray[np.int64], n_features: int) -> Table:
    neighbours: list[list[int]] = [[] for _ in range(n_features)]
    for one, other in pairs.tolist():
        neighbours[one].append(other)
        neighbours[other].append(one)
    table = np.full((n_features, max(map(len, neighbours))), NONE, dtype=np.int64)
    for feature, mine in enumerate(neighbours):
        table[feature, : len(mine)] = sorted(mine)
    return table
