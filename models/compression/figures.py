"""What a code tells of rows: how much of the features' variance, at what divergence, by era and by group of features.

On the eras that a window is judged on these figures are out of sample: neither the autoencoder nor the means that it is
compared with have seen them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from eraflow.data.codes import MISSING_CODE
from eraflow.disk.atomic import atomic_path
from eraflow.erastore.erareader import EraStore
from models.base.protocol import Codes
from models.base.rows import tiles
from models.compression.vaearrays import code_moments, divergence, reconstruction
from models.networks.inputs import CENTRE, SCALE
from models.networks.perceptronarrays import standardised
from models.networks.weightfile import Arrays

ROWS_OF_ERA, ROWS_OF_GROUPS = 2_000, 8_192
"""Rows of each judged era, and of all judged eras of a window for its groups, that are looked at, evenly spaced."""
BLOCK_ROWS = 256
OTHERS = "others"
"""Name of the group of features that no named one has; all of them, where there are no named ones."""


@dataclass(frozen=True)
class Told:
    """What a code tells of some rows.

    Attributes:
        code_means: float32[n, c], mean of each unit of the code.
        divergences: float64[c], mean Kullback-Leibler divergence of each unit, nats.
        errors: float64[f], summed squared errors of the standardised features.
        variation: float64[f], summed squared distances of these from their means in the rows learnt from.
    """

    code_means: npt.NDArray[np.float32]
    divergences: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]
    variation: npt.NDArray[np.float64]

    def explained(self, columns: Sequence[int] | None = None) -> float:
        """Share of the variance of these features (None: of all); 0 where they do not vary."""
        picked = slice(None) if columns is None else list(columns)
        whole = float(self.variation[picked].sum())
        return 1 - float(self.errors[picked].sum()) / whole if whole > 0 else 0.0


def told_of(weights: Arrays, codes: Codes, means: npt.NDArray[np.float32], *, threads: int) -> Told:
    """Encode rows and decode the mean of their code.

    Args:
        weights: the module's state_dict as arrays.
        codes: int8[n, f].
        means: float32[f], of the standardised features in the rows learnt from.
        threads: to compute with; nothing else depends on them.
    """

    def block(rows: slice) -> tuple[npt.NDArray[Any], ...]:
        x = standardised(codes[rows].astype(np.float32))
        mean, spread = code_moments(weights, x)
        wrong = np.square(reconstruction(weights, mean) - x).sum(axis=0, dtype=np.float64)
        return mean, divergence(mean, spread).sum(axis=0, dtype=np.float64), wrong, _variation(x, means)

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(block, tiles(len(codes), BLOCK_ROWS)))
    found, apart, wrong, variation = zip(*parts, strict=True)
    return Told(np.concatenate(found), np.sum(apart, axis=0) / len(codes), np.sum(wrong, axis=0), np.sum(variation, 0))


def era_figures(
    weights: Arrays, store: EraStore, eras: Sequence[str], means: npt.NDArray[np.float32], *, threads: int
) -> Iterator[tuple[str, Told]]:
    """What a code tells of each of these eras."""
    for era in eras:
        rows = store.matrix([era])
        yield era, told_of(weights, rows[evenly(len(rows), ROWS_OF_ERA)], means, threads=threads)


def group_divergence(weights: Arrays, codes: Codes, columns: Sequence[int], *, threads: int) -> float:
    """How many nats of the code's mean divergence are lost when these features have the middle code everywhere.

    A unit of the code belongs to no group; this is what it owes to one. It may be negative, where without these
    features a row looks odder than with them.
    """
    without = codes.copy()
    without[:, list(columns)] = MISSING_CODE
    return _mean_divergence(weights, codes, threads) - _mean_divergence(weights, without, threads)


def sample_of(store: EraStore, eras: Sequence[str]) -> Codes:
    """int8[n, f]: rows of these eras for the figures of groups, at least one of each era."""
    each = max(1, ROWS_OF_GROUPS // len(eras))
    parts = (store.matrix([era]) for era in eras)
    return np.concatenate([rows[evenly(len(rows), each)] for rows in parts])


def columns_of_groups(groups: Mapping[str, Sequence[str]], features: Sequence[str]) -> dict[str, list[int]]:
    """Positions of the features of each group; those of none are a group of their own."""
    place = {feature: at for at, feature in enumerate(features)}
    found = {name: [place[feature] for feature in members if feature in place] for name, members in groups.items()}
    named = {at for members in found.values() for at in members}
    found[OTHERS] = [at for at in range(len(features)) if at not in named]
    return {name: members for name, members in found.items() if members}


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Path:
    """A table with a line a row, whole or not at all; in this order of columns, also where JSON has sorted them."""
    table = {name: [row[name] for row in rows] for name in columns}
    with atomic_path(path) as temporary:
        pl.DataFrame(table).write_csv(temporary, float_precision=6)
    return path


def feature_means(codes: Codes) -> npt.NDArray[np.float32]:
    """float32[f]: mean of each standardised feature."""
    means: npt.NDArray[np.float64] = (codes.mean(axis=0, dtype=np.float64) - CENTRE) * SCALE
    return means.astype(np.float32)


def evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most so many of `count` rows, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _mean_divergence(weights: Arrays, codes: Codes, threads: int) -> float:
    def block(rows: slice) -> float:
        moments = code_moments(weights, standardised(codes[rows].astype(np.float32)))
        return float(divergence(*moments).sum(dtype=np.float64))

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(block, tiles(len(codes), BLOCK_ROWS))) / len(codes)


def _variation(x: npt.NDArray[np.float32], means: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    summed: npt.NDArray[np.float64] = np.square(x - means).sum(axis=0, dtype=np.float64)
    return summed
