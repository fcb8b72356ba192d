"""The rows of a file in its own order, a tile of one era at a time: what a prediction reads, whatever the file's form.

Parquet (`eraflow.rows.parquetrows`, in parts by `eraflow.rows.parquetparts`) and CSV, plain or compressed by gzip or xz
(`eraflow.rows.csvrows`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.data.eraindex import NullIdError, check_era_order, checked_era
from eraflow.data.eralabels import era_label
from eraflow.data.eras import LIVE_ERA

END_BYTES = 1 << 20
"""What of a file's beginning and end is hashed to know it again."""


@dataclass(frozen=True)
class Tile:
    """Neighbouring rows of one era.

    Attributes:
        era: their label.
        ids: of each row, polars String, none missing.
        codes: int8[n, f], 0 to 4, in the order of the features asked for.
        done: how far the file is read after it, in rows (parquet) or bytes of the file as it lies on disk (CSV).
        total: all of it, in the same unit.
    """

    era: str
    ids: pl.Series
    codes: npt.NDArray[np.int8]
    done: int
    total: int


class RowSource(Protocol):
    """A file of rows.

    Attributes:
        path: the file.
        columns: the names of its columns.
        unit: of `Tile.done`, for people.
    """

    path: Path
    unit: str

    @property
    def columns(self) -> Collection[str]:
        """Names of the columns."""

    def tiles(
        self, features: Sequence[str], *, most_rows: int, skip: int = 0, scratch: Path | None = None
    ) -> Iterator[Tile]:
        """Read the rows in order.

        Args:
            features: the columns to be decoded, all of them present.
            most_rows: of a tile.
            skip: rows at the beginning to be left out; an era begins after them.
            scratch: folder on whose disk rows may be turned round; None: in memory only, whatever it takes.

        Raises:
            BadFeatureValueError, FeatureTypeError, MissingColumnError, NullIdError, NullEraError, BadEraError,
            UnorderedErasError: the rows are not what they should be.
            TruncatedFileError: the bytes cannot be decoded.
        """


def file_identity(path: Path) -> dict[str, Any]:
    """What tells a file from another of the same name: size, time of change, and a hash of its two ends."""
    about = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(END_BYTES))
        file.seek(max(0, about.st_size - END_BYTES))
        digest.update(file.read(END_BYTES))
    return {"size": about.st_size, "changed_ns": about.st_mtime_ns, "ends_sha256": digest.hexdigest()}


class EraSequence:
    """The eras met so far; refuses labels that are none, and an order that does not rise."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._eras: list[str] = []

    def add(self, era: str | None, row: int) -> str:
        """Take the label of `row` and what follows it; the same as the last one goes on with that era.

        Raises:
            NullEraError, BadEraError, UnorderedErasError.
        """
        label = era_label(era)
        if self._eras and label == self._eras[-1]:
            return self._eras[-1]
        era = checked_era(label, row, self._path)
        rises = not self._eras or (self._eras[-1] != LIVE_ERA and (era == LIVE_ERA or int(era) > int(self._eras[-1])))
        self._eras.append(era)
        if not rises:
            check_era_order(self._eras, str(self._path))
        return era


def check_ids(ids: pl.Series, path: Path, start: int) -> pl.Series:
    """`ids` as text; NullIdError where one is missing, `start` being the row of the first."""
    missing = ids.is_null() | (ids == "")
    if missing.any():
        row = start + int(missing.arg_max() or 0)
        raise NullIdError(f"row {row} of {path} has no id", "write the id of each row into the file")
    return ids
