"""Rows of a parquet file, era by era, in memory that depends on an era and not on the number of them.

Two ways, by the size of the row groups. Small ones: a slice of rows is decoded at a time. Large ones, whose slices may
each decompress all of the group: some hundred eras are decoded a few columns at a time, through a file on disk
(`eraflow.disk.spool`).

polars holds half of what pyarrow does for the footer of a file of many row groups; that is why the footer is not read
by `eraflow.data.footer` here. What it holds is half a kibibyte for each column of each row group: files with many
of them are read part by part (`eraflow.rows.parquetparts`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.data.codes import as_codes, bad_value, first_bad
from eraflow.data.eralabels import era_runs
from eraflow.data.footer import (
    ERA,
    ID,
    NUMBERS_WANTED,
    UNNAMED_INDEX,
    FeatureTypeError,
    MissingColumnError,
    TruncatedFileError,
    column_type,
    decoding,
)
from eraflow.disk.plainpaths import scan_parquet
from eraflow.disk.spool import Spool, room
from eraflow.rows.rowsource import EraSequence, Tile, check_ids

LABEL_ROWS = 1 << 18
"""Rows whose era labels are looked at together."""
ID_ROWS = 1 << 16
"""Rows whose ids are read together where a slice may decompress all of a row group."""
PAGE_BITS = 3
"""Of a decompressed value: five levels as a dictionary's indices."""
MOST_PAGES = 32 << 20
"""Bytes of decompressed pages that a slice may cost; row groups with more go through a spool."""
MOST_ERAS = 16
"""In a row group that is decompressed for each of its eras; those with more go through a spool too. 3,000 eras of 100
rows and 60 features in one group took 13.7 s of CPU so, and 0.3 s through a spool."""
BLOCK_BYTES = 12 << 20
"""Of what is decoded at once on the way into a spool, the pages too."""
SPOOL_BYTES = 1 << 30
"""Of a spool, on disk; never more than half of what is free there."""
CHUNK_FOOTER = 250
"""Bytes of the footer for a column of a row group, at most as a rule."""


@dataclass(frozen=True)
class Part:
    """Some row groups of a file, with a footer of their own.

    Attributes:
        file: what is decoded, in place of the file itself.
        first: the file's rows before it.
        total: the file's rows.
        group: rows of its largest row group.
        sequence: the eras before it, and then its own.
    """

    file: BinaryIO
    first: int
    total: int
    group: int
    sequence: EraSequence


class ParquetRows:
    """A parquet file; see `eraflow.rows.rowsource.RowSource`.

    Args:
        path: the file.
        part: read this part of it only.

    Raises:
        TruncatedFileError: it has no readable footer.
    """

    unit = "rows"

    def __init__(self, path: Path, part: Part | None = None) -> None:
        self.path = path
        self._part = part
        with decoding(path):
            self._frame = scan_parquet(path if part is None else part.file)
            self._types = dict(self._frame.collect_schema())
            self.rows = int(self._frame.select(pl.len()).collect().item())
        self._first = 0 if part is None else part.first
        self._total = self.rows if part is None else part.total

    @property
    def columns(self) -> Collection[str]:
        """Names of the columns, the index of a pandas frame among them."""
        return self._types.keys()

    def tiles(
        self, features: Sequence[str], *, most_rows: int, skip: int = 0, scratch: Path | None = None
    ) -> Iterator[Tile]:
        """See `RowSource.tiles`. Types and eras of the whole file are checked before the first tile."""
        name = self._id_column()
        self._check_types(features)
        eras = [era for era in self._eras() if era[2] > skip]
        group = self._likely_group()
        pages = group * len(features) * PAGE_BITS // 8
        if scratch is None or (pages <= MOST_PAGES and group * len(eras) <= MOST_ERAS * (self.rows - skip)):
            for era, first, stop in eras:
                for start, end in _pieces(first, stop, most_rows):
                    yield self._tile(name, features, era, start, end)
            return
        for span in _spans(eras, min(SPOOL_BYTES, room(scratch) // 2) // len(features)):
            yield from self._spooled(name, features, span, group, most_rows, scratch)

    def _spooled(
        self,
        name: str,
        features: Sequence[str],
        span: Sequence[tuple[str, int, int]],
        group: int,
        most_rows: int,
        scratch: Path,
    ) -> Iterator[Tile]:
        """The tiles of some eras, decoded a few columns at a time."""
        first, stop = span[0][1], span[-1][2]
        width = max(1, BLOCK_BYTES // (stop - first + group * PAGE_BITS // 8))
        with Spool(scratch, len(features), [end - start for _, start, end in span]) as spool:
            for column in range(0, len(features), width):
                names = features[column : column + width]
                codes = self._codes(names, first, stop, [(era, end) for era, _, end in span])
                spool.put(column, codes)
                del codes
            ids, known = pl.Series(dtype=pl.String), first
            for number, (era, start, end) in enumerate(span):
                codes = spool.era(number)
                for begin, until in _pieces(start, end, most_rows):
                    if until > known + len(ids):
                        ids, known = self._ids(name, begin, max(until, min(begin + ID_ROWS, stop))), begin
                    here = check_ids(ids.slice(begin - known, until - begin), self.path, self._first + begin)
                    yield Tile(era, here, codes[begin - start : until - start], self._first + until, self._total)

    def _ids(self, name: str, start: int, stop: int) -> pl.Series:
        """The ids of some rows, as text; to look one up may cost the decompression of all of its row group."""
        with decoding(self.path):
            ids = self._frame.select(pl.col(name).cast(pl.String)).slice(start, stop - start).collect().to_series()
        if len(ids) != stop - start:
            raise self._short(start, stop, len(ids))
        return ids

    def _codes(
        self, features: Sequence[str], start: int, stop: int, eras: Sequence[tuple[str, int]]
    ) -> npt.NDArray[np.int8]:
        """int8[rows, f] of some columns; `eras` are those of the rows and where each ends."""
        with decoding(self.path):
            raw = self._frame.select(features).slice(start, stop - start).collect()
            codes, _ = as_codes(raw)
        wrong = first_bad(codes)
        if wrong is not None:
            era = next(label for label, end in eras if start + wrong[0] < end)
            row = self._first + start + wrong[0]
            raise bad_value(self.path, features[wrong[1]], raw[features[wrong[1]]][wrong[0]], row, era)
        if len(codes) != stop - start:
            raise self._short(start, stop, len(codes))
        return codes

    def _likely_group(self) -> int:
        """Rows of a row group, rather too many, from the size of the footer: polars does not tell, pyarrow takes ten
        times that size in memory to tell it.
        """
        if self._part is not None:
            return self._part.group
        with self.path.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            footer = int.from_bytes(file.read(4), "little")
        return min(self.rows, self.rows * CHUNK_FOOTER * len(self._types) // max(footer, 1))

    def _short(self, start: int, stop: int, found: int) -> TruncatedFileError:
        return TruncatedFileError(
            f"{self.path}: rows {self._first + start} to {self._first + stop} hold {found} rows only",
            "write or download it again",
        )

    def _tile(self, name: str, features: Sequence[str], era: str, start: int, stop: int) -> Tile:
        with decoding(self.path):
            raw = self._frame.select([name, *features]).slice(start, stop - start).collect()
            ids = raw[name].cast(pl.String)
            codes, _ = as_codes(raw.drop(name))
        if len(ids) != stop - start:
            raise self._short(start, stop, len(ids))
        wrong = first_bad(codes)
        if wrong is not None:
            row = self._first + start + wrong[0]
            raise bad_value(self.path, features[wrong[1]], raw[features[wrong[1]]][wrong[0]], row, era)
        ids = check_ids(ids, self.path, self._first + start)
        return Tile(era, ids, codes, self._first + stop, self._total)

    def _id_column(self) -> str:
        for name in (ID, UNNAMED_INDEX):  # an index of row numbers is no id
            if name in self._types and (name == ID or not self._types[name].is_numeric()):
                return name
        raise MissingColumnError(
            f"{self.path} has no `id`, neither as a column nor as the index", "write the file with its ids"
        )

    def _check_types(self, features: Sequence[str]) -> None:
        if ERA not in self._types:
            raise MissingColumnError(f"{self.path} has no column `{ERA}`", "write the file with the era of each row")
        for name in (self._id_column(), ERA):
            if self._types[name].is_nested():
                raise column_type(self.path, name, self._types[name], "text")
        wrong = [name for name in features if not _is_code_type(self._types[name])]
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
            raise FeatureTypeError(
                f"{self.path}: feature {wrong[0]} has type {self._types[wrong[0]]}{more}",
                NUMBERS_WANTED,
            )

    def _eras(self) -> list[tuple[str, int, int]]:
        """Label, first row and end of each era, from the one column that holds them."""
        found: list[tuple[str, int, int]] = []
        sequence = EraSequence(self.path) if self._part is None else self._part.sequence
        for start in range(0, self.rows, LABEL_ROWS):
            row = start
            for label, length in self._runs(start):
                era = sequence.add(label, self._first + row)
                if found and found[-1][0] == era:
                    found[-1] = (era, found[-1][1], row + length)
                else:
                    found.append((era, row, row + length))
                row += length
        return found

    def _runs(self, start: int) -> list[tuple[str | None, int]]:
        with decoding(self.path):
            labels = self._frame.select(pl.col(ERA).cast(pl.String)).slice(start, LABEL_ROWS).collect()
        return era_runs(labels.to_series())


def _is_code_type(kind: pl.DataType) -> bool:
    """Whether a feature may have this type; one that is missing throughout may have none."""
    return kind.is_numeric() or kind in (pl.Boolean, pl.Null)


def _pieces(start: int, stop: int, most_rows: int) -> Iterator[tuple[int, int]]:
    """Even parts of at most so many rows."""
    pieces = -(-(stop - start) // max(1, most_rows))
    yield from pairwise(start + (stop - start) * piece // pieces for piece in range(pieces + 1))


def _spans(eras: Sequence[tuple[str, int, int]], most_rows: int) -> Iterator[list[tuple[str, int, int]]]:
    """Neighbouring eras together, as many as have at most so many rows; at least one."""
    span: list[tuple[str, int, int]] = []
    for era in eras:
        if span and era[2] - span[0][1] > most_rows:
            yield span
            span = []
        span.append(era)
    if span:
        yield span
