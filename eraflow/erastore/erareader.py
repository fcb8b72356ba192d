"""Reading an era store: everything is a view of a memory map until it must be gathered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.errors import EraflowError

LAYOUT = "layout.json"
MATRIX = "matrix.npy"
IDS = "ids.npy"
MISSING = "missing.npy"
FORMAT = 1
"""Raised when the files of a store change their meaning."""


class EraStoreError(EraflowError):
    """A folder is not a finished era store of this version. Write it again."""

    code = "era_store"


class UnknownEraError(EraflowError):
    """An era that is asked for is not in the era store, or the eras are not asked for in their order."""

    code = "unknown_era"


class UnknownColumnError(EraflowError):
    """A feature or column that is asked for is not in the era store."""

    code = "unknown_column"


@dataclass(frozen=True)
class MissingReport:
    """Which features are missing in which eras: the code 2 (or NaN) in every row of the era.

    Attributes:
        eras_of: feature -> eras in which it is missing throughout; features that never are do not appear.
        cells: feature -> cells that were NaN or null in the parquet files and became 2; only where there were any.
    """

    eras_of: dict[str, tuple[str, ...]]
    cells: dict[str, int]

    def describe(self) -> str:
        """One line for people."""
        pairs = sum(len(eras) for eras in self.eras_of.values())
        return (
            f"{len(self.eras_of)} features are missing in whole eras ({pairs} feature-eras), "
            f"{sum(self.cells.values())} single values were NaN"
        )


class EraStore:
    """An era-ordered int8 feature matrix on disk with its era index, ids and float columns.

    Rows are in era order and, inside an era, in the order of the parquet file. Every array that this class returns is
    aligned with those rows. Many processes may read one store at a time; a store pickles as its path.
    """

    def __init__(self, path: Path, layout: dict[str, Any]) -> None:
        self.path = path
        self.features: tuple[str, ...] = tuple(layout["features"])
        self.eras: tuple[str, ...] = tuple(layout["eras"])
        self.columns: tuple[str, ...] = tuple(layout["columns"])
        self.n_rows: int = layout["rows"]
        self._layout = layout
        self.digests: dict[str, str] | None = layout.get("digests")
        """Era -> sha256 of its rows of the matrix; None: it was written before stores told them."""
        self._starts = np.asarray(layout["offsets"], dtype=np.int64)
        self._position = {era: position for position, era in enumerate(self.eras)}
        self._matrix = _mapped(path / MATRIX, (self.n_rows, len(self.features)))

    @classmethod
    def open(cls, path: Path | str) -> EraStore:
        """Open a finished store; no data is read yet.

        Raises:
            EraStoreError: when there is no finished store of this version.
        """
        path = Path(path)
        try:
            layout = json.loads((path / LAYOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EraStoreError(f"{path} holds no finished era store ({error})", "write the store again") from error
        if not isinstance(layout, dict) or layout.get("format") != FORMAT:
            raise EraStoreError(f"{path} is an era store of another format than {FORMAT}", "write the store again")
        return cls(path, layout)

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return EraStore.open, (self.path,)

    def rows(self, eras: Sequence[str] | None = None) -> slice | npt.NDArray[np.int64]:
        """The rows of `eras` (None: of all): a slice when they are neighbours, else int64 row numbers.

        Raises:
            UnknownEraError: an era is not in the store, or they are not asked for in the order of the store.
        """
        runs = self._runs(eras)
        if not runs:
            return slice(0, 0)
        if len(runs) == 1:
            return slice(*runs[0])
        return np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in runs])

    def matrix(self, eras: Sequence[str] | None = None, features: Sequence[str] | None = None) -> npt.NDArray[np.int8]:
        """Feature codes 0..4 (2 where missing), int8[rows, features].

        A read-only view of the memory map when the eras are neighbours and the features are None or neighbours;
        otherwise a new array of just what was asked for.
        """
        columns = self._feature_positions(features)
        runs = self._runs(eras)
        if len(runs) == 1 and isinstance(columns, slice):
            return self._matrix[slice(*runs[0]), columns]
        width = len(self.features[columns]) if isinstance(columns, slice) else len(columns)
        gathered = np.empty((sum(stop - start for start, stop in runs), width), dtype=np.int8)
        row = 0
        for start, stop in runs:
            # Run by run: one fancy index over all rows would cost eight bytes a row and touch the map at random.
            gathered[row : row + stop - start] = self._matrix[start:stop][:, columns]
            row += stop - start
        return gathered

    def column(self, name: str, eras: Sequence[str] | None = None) -> npt.NDArray[np.float64]:
        """A target, benchmark or other column, float64[rows], NaN where it is not known.

        Raises:
            UnknownColumnError: naming the columns there are.
        """
        if name not in self.columns:
            raise UnknownColumnError(
                f"{self.path} has no column {name!r}; it has {', '.join(self.columns) or 'none'}",
                "name one of these, or write the store again with it",
            )
        mapped = _mapped(self.path / column_file(self.columns.index(name)), (self.n_rows,))
        return np.asarray(mapped[self.rows(eras)], dtype=np.float64)

    def ids(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.str_]:
        """The ids as an array of strings."""
        stored = _mapped(self.path / IDS, (self.n_rows,))[self.rows(eras)]
        try:
            return stored.astype(np.str_)
        except UnicodeDecodeError:
            return np.char.decode(stored, "utf-8")

    def era_codes(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.int32]:
        """For each row the position of its era in `.eras`, int32[rows]."""
        positions = np.asarray(self._positions(eras), dtype=np.int32)
        return np.repeat(positions, self._lengths(eras))

    def offsets(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.int64]:
        """int64[n_eras + 1]: where each of `eras` begins among the rows that the other methods return for them."""
        return np.concatenate([[0], np.cumsum(self._lengths(eras))]).astype(np.int64)

    def data_type(self, era: str) -> str:
        """train, validation, test or live; empty when the files do not say."""
        return str(self._layout["data_types"][self._positions([era])[0]])

    def coverage(self, name: str) -> tuple[str, ...]:
        """The eras in which the column `name` is known for at least one row."""
        known = np.isfinite(self.column(name))
        bounds = zip(self.eras, self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True)
        return tuple(era for era, start, stop in bounds if known[start:stop].any())

    @property
    def missing(self) -> MissingReport:
        """Features that are missing for whole eras, and single missing values."""
        flags = _mapped(self.path / MISSING, (len(self.eras), len(self.features)))
        eras_of = {
            self.features[column]: tuple(self.eras[era] for era in np.flatnonzero(flags[:, column]))
            for column in np.flatnonzero(flags.any(axis=0))
        }
        return MissingReport(eras_of, dict(self._layout["missing_cells"]))

    def describe(self) -> str:
        """One line for people: size, eras, columns."""
        span = f"eras {self.eras[0]} to {self.eras[-1]}" if self.eras else "no eras"
        return (
            f"{self.n_rows:,} rows x {len(self.features):,} features in {len(self.eras):,} eras ({span}), "
            f"{self._matrix.nbytes / 2**20:,.0f} MiB; columns {', '.join(self.columns) or 'none'}"
        )

    def _positions(self, eras: Sequence[str] | None) -> list[int]:
        if eras is None:
            return list(range(len(self.eras)))
        unknown = [era for era in eras if era not in self._position]
        if unknown:
            raise UnknownEraError(
                f"{self.path} has no era {unknown[0]}" + (f" (and {len(unknown) - 1} more)" if unknown[1:] else ""),
                "ask for eras of the store, or write it again with them",
            )
        positions = [self._position[era] for era in eras]
        if any(later <= earlier for earlier, later in pairwise(positions)):
            raise UnknownEraError("eras are asked for twice or out of order", "ask for them in the store's order")
        return positions

    def _lengths(self, eras: Sequence[str] | None) -> npt.NDArray[np.int64]:
        return np.diff(self._starts)[np.asarray(self._positions(eras), dtype=np.int64)]

    def _runs(self, eras: Sequence[str] | None) -> list[tuple[int, int]]:
        """Row ranges of the eras, neighbours merged."""
        if eras is None:
            return [(0, self.n_rows)]
        runs: list[tuple[int, int]] = []
        for position in self._positions(eras):
            start, stop = int(self._starts[position]), int(self._starts[position + 1])
            if runs and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], stop)
            else:
                runs.append((start, stop))
        return runs

    def _feature_positions(self, features: Sequence[str] | None) -> slice | npt.NDArray[np.int64]:
        if features is None:
            return slice(0, len(self.features))
        place = {name: position for position, name in enumerate(self.features)}
        unknown = [name for name in features if name not in place]
        if unknown:
            raise UnknownColumnError(
                f"{self.path} lacks the feature {unknown[0]}"
                + (f" (and {len(unknown) - 1} more)" if unknown[1:] else ""),
                "ask for features of the store, or write it again with them",
            )
        positions = np.array([place[name] for name in features], dtype=np.int64)
        if positions.size and (np.diff(positions) == 1).all():
            return slice(int(positions[0]), int(positions[-1]) + 1)
        return positions


def column_file(position: int) -> str:
    """Name of the file of the column at `position` of `EraStore.columns`; columns may have names that files cannot."""
    return f"column-{position:03d}.npy"


def _mapped(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """A read-only memory map as a plain array; a file that is missing, cut short or of another shape is named."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EraStoreError(f"{path} cannot be mapped ({error})", "write the store again") from error
    if mapped.shape != shape:
        raise EraStoreError(f"{path} has shape {mapped.shape} instead of {shape}", "write the store again")
    return np.asarray(mapped)
