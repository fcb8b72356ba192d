"""The order in which a network sees its data: batches of rows or of whole eras, cut into pieces.

Nothing here has a state. The order of an epoch is drawn from the seed and the epoch's number, so a training that goes
on from a checkpoint needs to know only how many updates are done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.base.protocol import Codes, TrainingDataError
from models.base.rows import Columns

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PieceRows:
    """Which rows a piece of a batch has.

    Attributes:
        position: of the piece in its batch; what is dropped out in the piece is drawn from it.
        rows: ascending numbers of rows within each era.
        offsets: of the eras among these rows, int64[e + 1]; None when the batch does not consist of whole eras.
    """

    position: int
    rows: Numbers
    offsets: Numbers | None = None


class Batches(Protocol):
    """How the data are divided.

    Attributes:
        per_epoch: updates of an epoch.
    """

    @property
    def per_epoch(self) -> int:
        """See the class."""

    def of_epoch(self, number: int) -> Sequence[Numbers]:
        """The batches of an epoch, from 0; what their numbers mean only `pieces` knows."""

    def pieces(self, batch: Numbers, rows: int) -> list[PieceRows]:
        """The batch in pieces of `rows` rows, or of as many whole eras as have no more, but one at the least."""

    def largest_piece(self, rows: int) -> int:
        """The most rows that such a piece has."""


class RowBatches:
    """Every row once an epoch, in random order.

    Args:
        n_rows: of the data.
        batch_size: rows of an update; the batches of an epoch differ by one row at the most.
        seed: of the fit.
    """

    def __init__(self, n_rows: int, batch_size: int, seed: int) -> None:
        self._n_rows, self._seed = n_rows, seed
        self.per_epoch = math.ceil(n_rows / batch_size)

    def of_epoch(self, number: int) -> Sequence[Numbers]:
        """The numbers of each batch's rows; ascending, so that a file is read in order."""
        order = np.random.default_rng([self._seed, number]).permutation(self._n_rows)
        return [np.sort(batch) for batch in np.array_split(order, self.per_epoch)]

    def pieces(self, batch: Numbers, rows: int) -> list[PieceRows]:
        """See `Batches`."""
        return [PieceRows(start, batch[start : start + rows]) for start in range(0, len(batch), rows)]

    def largest_piece(self, rows: int) -> int:
        """See `Batches`."""
        return rows


class EraBatches:
    """Every era once an epoch, whole and in random order; eras without any known target are left out.

    Args:
        eras: int64[e + 1], the offsets of the eras in the rows.
        targets: float[n] or [n, k]; NaN where a target is not known.
        batch_size: eras of an update.
        seed: of the fit.

    Raises:
        TrainingDataError: no target is known.
    """

    def __init__(self, eras: Numbers, targets: npt.NDArray[np.floating[Any]], batch_size: int, seed: int) -> None:
        self._eras, self._seed = np.asarray(eras, dtype=np.int64), seed
        known = ~np.isnan(targets.reshape(len(targets), -1)).all(axis=1)
        before = np.concatenate([[0], np.cumsum(known)])
        self._usable = np.flatnonzero(before[self._eras[1:]] > before[self._eras[:-1]])
        if not len(self._usable):
            raise TrainingDataError(
                f"no target is known in {len(self._eras) - 1} eras", "train on eras whose target is known"
            )
        self.per_epoch = math.ceil(len(self._usable) / batch_size)

    def of_epoch(self, number: int) -> Sequence[Numbers]:
        """The numbers of each batch's eras, ascending."""
        order = np.random.default_rng([self._seed, number]).permutation(self._usable)
        return [np.sort(batch) for batch in np.array_split(order, self.per_epoch)]

    def pieces(self, batch: Numbers, rows: int) -> list[PieceRows]:
        """See `Batches`."""
        groups: list[list[int]] = []
        held = 0
        for era in batch.tolist():
            size = self._size(era)
            if groups and held + size <= rows:
                groups[-1].append(era)
                held += size
            else:
                groups.append([era])
                held = size
        positions = np.cumsum([0, *map(len, groups)]).tolist()
        return [self._piece(position, group) for position, group in zip(positions, groups, strict=False)]

    def largest_piece(self, rows: int) -> int:
        """See `Batches`."""
        return max(rows, *map(self._size, self._usable.tolist()))

    def _size(self, era: int) -> int:
        return int(self._eras[era + 1] - self._eras[era])

    def _piece(self, position: int, group: list[int]) -> PieceRows:
        rows = np.concatenate([np.arange(self._eras[era], self._eras[era + 1]) for era in group])
        return PieceRows(position, rows, np.cumsum([0, *map(self._size, group)], dtype=np.int64))


class EraRows:
    """All rows of x, also those whose target is not known: for networks that see whole eras.

    Attributes:
        n_features: columns that are used.

    Args:
        x: int8[n, width]; it may be a view of a file.
        columns: which are used; None: all.
    """

    def __init__(self, x: Codes, columns: Columns | None = None) -> None:
        self._x, self._columns = x, columns or Columns()
        self._columns.check(x.shape[1])
        self.n_features = self._columns.count(x.shape[1])

    def take(self, numbers: Numbers) -> Codes:
        """int8[m, n_features]: a copy of the rows with these numbers."""
        return self._columns.of(self._x[numbers])
