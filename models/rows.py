"""The rows a model learns from, tile by tile, so that the int8 matrix is never converted as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from models.protocol import Codes, TrainingDataError

LEVELS = 5
TILE_BYTES = 16 << 20
"""A tile converted to float32 stays below this, whatever `rows_in_memory` says: larger ones are not faster."""
MIN_TILE_ROWS = 256
LEVEL_ROWS = 1000


def tile_rows(n_features: int, rows_in_memory: int) -> int:
    """How many rows a tile has."""
    return max(min(rows_in_memory, TILE_BYTES // (4 * max(n_features, 1))), min(MIN_TILE_ROWS, rows_in_memory), 1)


def level_matrix(n_features: int, rows: int = LEVEL_ROWS) -> Codes:
    """int8[rows, f] that holds each of the five levels equally often in every column.

    The boosters take their bins from it instead of from a sample of the data: five levels need no search, every way of
    feeding then gives the same bins, and LightGBM's bin search was the largest part of its peak memory.
    """
    return np.repeat((np.arange(rows) % LEVELS).astype(np.int8)[:, None], n_features, axis=1)


class TrainingRows:
    """The rows of x whose target is known.

    Attributes:
        n_rows: how many.
        n_features: columns of x.
        labels: float32[n_rows].
        tile: rows of a tile.

    Args:
        x: int8[n, f], read tile by tile; it may be a view of a file.
        y: float[n]; NaN rows are left out.
        rows_in_memory: upper bound for a tile.

    Raises:
        TrainingDataError: shapes or types do not fit, y is infinite somewhere, or nothing is left.
    """

    def __init__(self, x: Codes, y: npt.NDArray[np.floating[Any]], rows_in_memory: int) -> None:
        _check(x, y)
        known = ~np.isnan(y)
        # None means all rows: then tiles are views, and a file-backed matrix is never copied.
        self._chosen = None if known.all() else np.flatnonzero(known)
        self._x = x
        self.labels = np.ascontiguousarray(y if self._chosen is None else y[self._chosen], dtype=np.float32)
        self.n_rows, self.n_features = len(self.labels), x.shape[1]
        self.tile = tile_rows(self.n_features, rows_in_memory)
        if self.n_rows == 0:
            raise TrainingDataError(f"none of {len(y)} rows has a known target", "train on eras whose target is known")

    def __getitem__(self, rows: slice) -> Codes:
        """int8[m, f]: some of the rows; only these are copied, and only when rows are left out."""
        return self._x[rows] if self._chosen is None else self._x[self._chosen[rows]]

    def take(self, numbers: npt.NDArray[np.int64]) -> Codes:
        """int8[m, f]: a copy of the rows with these numbers; ascending numbers read a file in order."""
        return self._x[numbers if self._chosen is None else self._chosen[numbers]]

    def tiles(self) -> Iterator[slice]:
        """Slices that cover all rows in order."""
        return tiles(self.n_rows, self.tile)


def tiles(n_rows: int, rows: int) -> Iterator[slice]:
    """Slices of at most `rows` that cover `n_rows` in order."""
    for start in range(0, n_rows, rows):
        yield slice(start, min(start + rows, n_rows))


def _check(x: Codes, y: npt.NDArray[np.floating[Any]]) -> None:
    if x.ndim != 2 or x.dtype != np.int8 or x.shape[1] == 0:
        raise TrainingDataError(f"the matrix is {x.dtype}{list(x.shape)}", "pass int8[n, f] from the era store")
    if y.shape != (x.shape[0],) or not np.issubdtype(y.dtype, np.floating):
        raise TrainingDataError(
            f"the target is {y.dtype}{list(y.shape)} for {x.shape[0]} rows", "pass one float for each row"
        )
    infinite = int(np.count_nonzero(np.isinf(y)))
    if infinite:
        raise TrainingDataError(f"{infinite} targets are infinite", "leave unknown targets NaN")
