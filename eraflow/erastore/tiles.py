"""Decoding parquet features into int8 pieces of bounded size, whatever the row groups of the file are.

Two ways, chosen from the footer. Row tiles: some thousands of rows of all columns at once; right while row groups are
not much larger than a tile. Column blocks: up to 64 columns of a whole row group at once; right for huge row groups,
where each row tile would have to decompress the whole group again. Both were measured to stay near the floor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from eraflow.data.codes import as_codes, bad_value, first_bad
from eraflow.data.eraindex import EraIndex
from eraflow.data.footer import (
    BadFeatureValueError,
    Footer,
    TruncatedFileError,
    decoding,
)

TILE_BYTES = 24 * 2**20
"""An era of 6,000 rows of all 3,555 features fits; more gains no speed and costs twice its size in memory."""
BLOCK_COLUMNS = 64
"""Wider blocks make polars' transposition slow (strides beyond the caches); narrower ones repeat overheads."""
TILES_PER_GROUP = 4
"""A row group of more tiles than this is read by columns, because each tile decompresses all of its group."""


@dataclass(frozen=True)
class RowRange:
    """A run of rows [start, stop) of a file, and whether it is to be read by columns."""

    start: int
    stop: int
    by_columns: bool


@dataclass(frozen=True)
class Block:
    """Decoded features: codes int8[rows, columns] (C order) at `row` of the file and `column` of the features."""

    codes: npt.NDArray[np.int8]
    row: int
    column: int
    missing_cells: npt.NDArray[np.int64]


def tile_rows(footer: Footer, features: Sequence[str], rows_in_memory: int) -> int:
    """Rows of a tile: as many as TILE_BYTES hold, never more than `rows_in_memory`."""
    width = max((_bytes_of(footer.types[name]) for name in features), default=1)
    return max(1, min(rows_in_memory, TILE_BYTES // max(1, len(features) * width)))


def plan_pieces(footer: Footer, ranges: Sequence[tuple[int, int]], rows: int) -> list[RowRange]:
    """Cut the row ranges into pieces along the row groups, `rows` being the size of a tile."""
    edges = np.concatenate([[0], np.cumsum(footer.group_rows, dtype=np.int64)])
    pieces: list[RowRange] = []
    for start, stop in ranges:
        while start < stop:
            group = int(np.searchsorted(edges, start, side="right")) - 1
            end = min(int(edges[group + 1]), stop)
            by_columns = end - start > TILES_PER_GROUP * rows
            if not by_columns:
                end = _tile_end(edges, start, stop, rows)
            pieces.append(RowRange(start, end, by_columns))
            start = end
    return pieces


def read_piece(
    index: EraIndex, frame: pl.LazyFrame, features: Sequence[str], piece: RowRange, rows: int
) -> Iterator[Block]:
    """Decode a piece: one block of all features, or block after block of columns.

    Raises:
        BadFeatureValueError: naming file, column, value and era.
        TruncatedFileError: the bytes cannot be decoded.
    """
    if not piece.by_columns:
        yield _decode(index, frame, features, piece, 0)
        return
    # As many cells as a tile has, so that `rows_in_memory` bounds this way too.
    width = max(1, min(BLOCK_COLUMNS, rows * len(features) // (piece.stop - piece.start)))
    for column in range(0, len(features), width):
        yield _decode(index, frame, features[column : column + width], piece, column)


def _decode(index: EraIndex, frame: pl.LazyFrame, features: Sequence[str], piece: RowRange, column: int) -> Block:
    with decoding(index.path):
        codes, absent = as_codes(frame.select(features).slice(piece.start, piece.stop - piece.start).collect())
    if codes.shape != (piece.stop - piece.start, len(features)):
        raise _short(index, piece, codes.shape[0])
    wrong = first_bad(codes)
    if wrong is not None:
        raise _bad_value(index, frame, features, wrong, piece.start)
    return Block(codes, piece.start, column, np.array(absent, dtype=np.int64))


def _bad_value(
    index: EraIndex, frame: pl.LazyFrame, features: Sequence[str], wrong: tuple[int, int], start: int
) -> BadFeatureValueError:
    row, column = start + wrong[0], wrong[1]
    value = frame.select(features[column]).slice(row, 1).collect().item()
    return bad_value(index.path, features[column], value, row, index.era_of_row(row))


def _short(index: EraIndex, piece: RowRange, found: int) -> TruncatedFileError:
    return TruncatedFileError(
        f"{index.path}: rows {piece.start} to {piece.stop} hold {found} rows only", "write or download it again"
    )


def _tile_end(edges: npt.NDArray[np.int64], start: int, stop: int, rows: int) -> int:
    """The last row-group edge within reach of a tile; within a larger group, an even part of what is left of it."""
    if stop <= start + rows:
        return stop
    place = int(np.searchsorted(edges, start + rows, side="right"))
    if edges[place - 1] > start:
        return int(edges[place - 1])
    left = min(int(edges[place]), stop) - start
    tiles = -(-left // rows)
    return start + -(-left // tiles)


def _bytes_of(kind: pa.DataType) -> int:
    return 1 if pa.types.is_null(kind) else max(1, int(kind.bit_width) // 8)
