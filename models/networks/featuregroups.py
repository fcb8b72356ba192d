"""The groups of features that are the tokens of a network: named ones, or ones that go together in the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from models.base.protocol import Codes
from models.base.rows import Columns, TrainingRows

Groups = dict[str, tuple[int, ...]]
"""Name of a group -> ascending positions of its features, each feature in one group."""
OTHERS = "others"
"""The name of the group of features that no named one has."""
SAMPLED_ROWS = 4096
"""For correlations: their error is 1.6 % then, and 3,555 features take 60 MiB."""


def named_groups(groups: Mapping[str, Sequence[int]], columns: Columns, width: int) -> Groups:
    """The named groups as positions among the columns that are used; features of none are a group of their own.

    Args:
        groups: name -> positions of columns of x.
        columns: which of these are used.
        width: columns of x.
    """
    used = range(width) if columns.positions is None else columns.positions
    place = {position: at for at, position in enumerate(used)}
    found: Groups = {}
    left = dict.fromkeys(place.values())
    for name, members in groups.items():
        mine = tuple(sorted(at for position in members if (at := place.get(position)) in left))
        for at in mine:
            del left[at]
        if mine:
            found[name] = mine
    return {**found, OTHERS: tuple(left)} if left and found else found


def correlated_groups(rows: TrainingRows, count: int) -> Groups:
    """Groups of nearly equal size whose features are correlated: the order of a hierarchy, cut into parts.

    Average linkage on 1 - |correlation|, with the leaves in their order. The rows are evenly spaced, so that nothing
    depends on tiles.

    Args:
        rows: what is learnt from.
        count: how many groups, at the most one a feature.
    """
    picked = np.unique(np.linspace(0, rows.n_rows - 1, min(rows.n_rows, SAMPLED_ROWS)).round().astype(np.int64))
    parts = np.array_split(_leaf_order(rows.take(picked)), min(count, rows.n_features))
    return {f"correlated_{number}": tuple(sorted(part.tolist())) for number, part in enumerate(parts, start=1)}


def shuffled_groups(groups: Groups, seed: int) -> Groups:
    """Groups of the same sizes with features drawn by chance: the control of what the groups are worth."""
    order = np.random.default_rng([seed, 53]).permutation(sum(map(len, groups.values())))
    cuts = np.cumsum([len(members) for members in groups.values()])[:-1]
    return {name: tuple(sorted(part.tolist())) for name, part in zip(groups, np.split(order, cuts), strict=True)}


def _leaf_order(codes: Codes) -> npt.NDArray[np.int64]:
    """The features in an order in which correlated ones are neighbours."""
    if codes.shape[1] < 3:
        return np.arange(codes.shape[1])
    from scipy.cluster.hierarchy import leaves_list, linkage  # only a training needs it
    from scipy.spatial.distance import squareform

    centred = codes - codes.mean(axis=0, dtype=np.float64).astype(np.float32)
    lengths = np.sqrt(np.square(centred).sum(axis=0))
    centred /= np.where(lengths > 0, lengths, 1)
    distance = 1 - np.abs(centred.T @ centred)
    np.fill_diagonal(distance, 0)
    order: npt.NDArray[np.int64] = leaves_list(linkage(squareform(distance.clip(0), checks=False), "average"))
    return order
