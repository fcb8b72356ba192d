"""The rows a model learns from, tile by tile, so that the int8 matrix is never converted as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.base.protocol import Codes, ModelSettingsError, TrainingDataError

LEVELS = 5
TILE_BYTES = 16 << 20
"""A tile converted to float32 stays below this, whatever `rows_in_memory` says: larger ones are not faster."""
MIN_TILE_ROWS = 256
LEVEL_ROWS = 1000


def tile_rows(n_features: int, rows_in_memory: int) -> int:
    """How many rows a tile has."""
    return max(min(rows_in_memory, TILE_BYTES // (4 * max(n_features, 1))), min(MIN_TILE_ROWS, rows_in_memory), 1)


def level_matrix(n_features: int) -> Codes:
    """int8[LEVEL_ROWS, f] that holds each of the five levels equally often in every column.

    The boosters take their bins from it instead of from a sample of the data: five levels need no search, every way of
    feeding then gives the same bins, and LightGBM's bin search was the largest part of its peak memory.
    """
    return np.repeat((np.arange(LEVEL_ROWS) % LEVELS).astype(np.int8)[:, None], n_features, axis=1)


class Columns:
    """The columns of x that a model uses; a tile is cut to them after it was cut from x, never x as a whole.

    Attributes:
        positions: ascending, or None for all.

    Args:
        positions: ascending positions of columns of x; None: all.

    Raises:
        ModelSettingsError: they are none at all, negative, or not ascending.
    """

    def __init__(self, positions: Sequence[int] | None = None) -> None:
        self.positions = None if positions is None else tuple(int(position) for position in positions)
        if self.positions is None:
            self._key: slice | npt.NDArray[np.intp] = slice(None)
            return
        numbers = np.array(self.positions, dtype=np.intp)
        if not len(numbers) or numbers[0] < 0 or (np.diff(numbers) <= 0).any():
            raise ModelSettingsError(
                f"the columns {list(self.positions[:5])} are no ascending positions", "name each column once, in order"
            )
        # Neighbours are a slice: their tiles stay views.
        together = numbers[-1] - numbers[0] + 1 == len(numbers)
        self._key = slice(int(numbers[0]), int(numbers[-1]) + 1) if together else numbers

    def count(self, width: int) -> int:
        """How many columns of a matrix of this width are used."""
        return width if self.positions is None else len(self.positions)

    def check(self, width: int) -> None:
        """Refuse a matrix that is too narrow.

        Raises:
            TrainingDataError: a position lies outside of it.
        """
        if self.positions is not None and self.positions[-1] >= width:
            raise TrainingDataError(
                f"column {self.positions[-1]} is wanted of a matrix with {width}", "pass the features of the store"
            )

    def of(self, tile: Codes) -> Codes:
        """int8[m, count]: these columns of a tile int8[m, width]; a view when they are neighbours."""
        return tile[:, self._key] if isinstance(self._key, slice) else np.take(tile, self._key, axis=1)


class TrainingRows:
    """The rows of x whose target is known, and the columns that are used.

    Attributes:
        n_rows: how many.
        n_features: columns that are used.
        width: columns of x.
        labels: float32[n_rows].
        tile: rows of a tile.
        known: bool[n], whether a row of x is one of them.

    Args:
        x: int8[n, width], read tile by tile; it may be a view of a file.
        y: float[n]; NaN rows are left out.
        rows_in_memory: upper bound for a tile.
        columns: which are used; None: all.

    Raises:
        TrainingDataError: shapes or types do not fit, y is infinite somewhere, or nothing is left.
    """

    def __init__(
        self,
        x: Codes,
        y: npt.NDArray[np.floating[Any]],
        rows_in_memory: int,
        columns: Columns | None = None,
    ) -> None:
        check_rows(x, y)
        self._columns = columns or Columns()
        self._columns.check(x.shape[1])
        known = ~np.isnan(y)
        self.known = known
        # None means all rows: then tiles are views, and a file-backed matrix is never copied.
        self._chosen = None if known.all() else np.flatnonzero(known)
        self._x = x
        self.labels = np.ascontiguousarray(y if self._chosen is None else y[self._chosen], dtype=np.float32)
        self.n_rows, self.n_features, self.width = len(self.labels), self._columns.count(x.shape[1]), x.shape[1]
        self.rows_in_memory = rows_in_memory
        self.tile = tile_rows(self.n_features, rows_in_memory)

    def __getitem__(self, rows: slice) -> Codes:
        """int8[m, n_features]: some of the rows; only these are copied, and only when rows or columns are left out."""
        return self._columns.of(self._x[rows] if self._chosen is None else self._x[self._chosen[rows]])

    @property
    def mask_digest(self) -> str:
        """Names which rows of x are taken: sha256 of how many there are and which of them are left out."""
        digest = hashlib.sha256(f"{len(self._x)} {self.n_rows} ".encode())
        if self._chosen is not None:
            digest.update(self._chosen.astype("<i8").tobytes())
        return digest.hexdigest()

    def take(self, numbers: npt.NDArray[np.int64]) -> Codes:
        """int8[m, n_features]: a copy of the rows with these numbers; ascending numbers read a file in order."""
        return self._columns.of(self._x[numbers if self._chosen is None else self._chosen[numbers]])

    def tiles(self) -> Iterator[slice]:
        """Slices that cover all rows in order."""
        return tiles(self.n_rows, self.tile)


def tiles(n_rows: int, rows: int) -> Iterator[slice]:
    """Slices of at most `rows` that cover `n_rows` in order."""
    for start in range(0, n_rows, rows):
        yield slice(start, min(start + rows, n_rows))


def check_rows(x: Codes, y: npt.NDArray[np.floating[Any]]) -> None:
    """Refuse what nothing can be learnt from.

    Raises:
        TrainingDataError: shapes or types do not fit, y is infinite somewhere, or no target is known.
    """
    if x.ndim != 2 or x.dtype != np.int8 or x.shape[1] == 0:
        raise TrainingDataError(f"the matrix is {x.dtype}{list(x.shape)}", "pass int8[n, f] from the era store")
    if y.shape != (x.shape[0],) or not np.issubdtype(y.dtype, np.floating):
        raise TrainingDataError(
            f"the target is {y.dtype}{list(y.shape)} for {x.shape[0]} rows", "pass one float for each row"
        )
    infinite = int(np.count_nonzero(np.isinf(y)))
    if infinite:
        raise TrainingDataError(f"{infinite} targets are infinite", "leave unknown targets NaN")
    if np.isnan(y).all():
        raise TrainingDataError(f"none of {len(y)} rows has a known target", "train on eras whose target is known")
