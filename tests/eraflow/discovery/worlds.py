"""Small worlds whose truth is known: features in five bins, a target with overlapping labels, laid out as an era store.

Feature 0, 1, ... carry what `coefficients` says, era by era; the others carry nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store

TARGET = "target_ender_20"


def five_bins(values):
    """Five equal bins in each column: int8 of the same shape."""
    rank = values.argsort(axis=0).argsort(axis=0)
    return (5 * rank // len(values)).astype(np.int8)


def draw(coefficients, *, features, rows=200, seed=0, noise=None, latent=None):
    """x int8[eras, rows, features] and y float[eras, rows] with the tournament's five values.

    coefficients, noise: float[eras, k] of the first k features; the noise's mean is nothing that lasts.
    latent: function of a standard normal float[rows, features] that correlates or copies columns.
    """
    rng = np.random.default_rng(seed)
    eras, k = coefficients.shape
    x = np.empty((eras, rows, features), dtype=np.int8)
    y = np.empty((eras, rows))
    for era in range(eras):
        z = rng.standard_normal((rows, features))
        x[era] = five_bins(z if latent is None else latent(z))
        total = coefficients[era] + (0 if noise is None else noise[era])
        value = (x[era, :, :k] - 2) / np.sqrt(2) @ total + rng.standard_normal(rows)
        rank = value.argsort().argsort() / rows
        y[era] = np.digitize(rank, [0.05, 0.25, 0.75, 0.95]) / 4
    return x, y


def overlapping_noise(eras, k, weeks, size, seed=0):
    """float[eras, k]: moving averages over the weeks that overlapping labels share, of standard deviation `size`."""
    shocks = np.random.default_rng(seed).standard_normal((eras + weeks, k))
    total = np.cumsum(np.vstack([np.zeros((1, k)), shocks]), axis=0)
    return size * (total[weeks : weeks + eras] - total[:eras]) / np.sqrt(weeks)


def store_of(x, y, path: Path, target: str = TARGET) -> EraStore:
    eras, rows, features = x.shape
    names = [f"feature_{place:03d}" for place in range(features)]
    flat = x.reshape(-1, features)
    frame = pl.DataFrame(
        {
            "id": [f"n{number:015x}" for number in range(eras * rows)],
            "era": np.repeat([f"{era:04d}" for era in range(1, eras + 1)], rows),
            "data_type": ["train"] * (eras * rows),
            **{name: flat[:, place] for place, name in enumerate(names)},
            target: y.ravel().astype(np.float32),
        }
    )
    file = path.with_suffix(".parquet")
    frame.with_columns(pl.col(target).fill_nan(None)).write_parquet(file)
    return write_era_store([file], names, [target], path)
