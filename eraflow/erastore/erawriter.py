"""Writing an era store: parquet is decoded once, checked, and laid out in era order; memory stays at a few tiles."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.data.codes import MISSING_CODE
from eraflow.data.eraindex import EraIndex, check_one_sequence, check_unique_ids, read_era_index
from eraflow.data.footer import check_feature_types, read_footer
from eraflow.disk.atomic import StorageError, atomic_path, storage_errors, write_json
from eraflow.erastore.eradigests import HashedRows
from eraflow.erastore.erareader import FORMAT, IDS, LAYOUT, MATRIX, MISSING, EraStore, UnknownEraError, column_file
from eraflow.erastore.joinedcolumns import JoinedPaths, joined_columns
from eraflow.erastore.tiles import Block, RowRange, plan_pieces, read_piece, tile_rows

Progress = Callable[[int, int], None]
ASSEMBLY_BYTES = 16 * 2**20


@dataclass(frozen=True)
class ChosenRows:
    """What is taken from one file: its chosen eras and their row ranges."""

    index: EraIndex
    eras: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]

    @property
    def rows(self) -> int:
        """Number of chosen rows."""
        return sum(stop - start for start, stop in self.ranges)


def write_era_store(
    files: Sequence[Path | str],
    features: Sequence[str],
    columns: Sequence[str],
    out: Path | str,
    *,
    joined: Mapping[str, JoinedPaths] | None = None,
    rows_in_memory: int = 262_144,
    progress: Progress | None = None,
    data_types: Collection[str] | None = None,
    eras: Collection[str] | None = None,
) -> EraStore:
    """Read parquet files once, check every value, and write the era store `out`.

    The same files and arguments give the same bytes. `layout.json` is written last, so a folder without it is not a
    store; an older store in `out` is replaced.

    Args:
        files: parquet files whose eras, one file after the other, are one rising sequence (train, validation); or the
            live file alone, which may have no rows.
        features: feature columns, in the order of the matrix.
        columns: float columns of the files, such as targets.
        out: folder of the store.
        joined: column name -> file or files that are joined by id (benchmarks, the meta model).
        rows_in_memory: upper bound of the rows that are decoded at once.
        progress: called with (rows done, rows in all).
        data_types: keep only eras of these data types.
        eras: keep only these eras; each must be in the files.

    Raises:
        MissingFileError, TruncatedFileError, MissingColumnError, FeatureTypeError, BadFeatureValueError,
        DuplicateIdError, NullIdError, NullEraError, BadEraError, UnorderedErasError, UnknownEraError, StorageError.
    """
    out, features, joined = Path(out), tuple(features), dict(joined or {})
    chosen = _select(files, features, columns, data_types, eras)
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / LAYOUT).unlink(missing_ok=True)
        for left in out.glob(f".{MATRIX}.*"):  # by an attempt that was killed; gigabytes, so not left for later
            left.unlink(missing_ok=True)
    _check_space(out, sum(part.rows for part in chosen), len(features), len(columns) + len(joined))
    missing, digests = _write_matrix(chosen, features, out, rows_in_memory, progress)
    names = _write_columns(chosen, columns, joined, out)
    write_json(out / LAYOUT, _layout(chosen, features, names, missing, digests))
    return EraStore.open(out)


def _select(
    files: Sequence[Path | str],
    features: Sequence[str],
    columns: Sequence[str],
    data_types: Collection[str] | None,
    eras: Collection[str] | None,
) -> list[ChosenRows]:
    """Check everything that footers and the id and era columns can tell, before any feature is decoded."""
    footers = [read_footer(path) for path in files]
    for footer in footers:
        footer.require([*features, *columns])
        footer.require_id()
        check_feature_types(footer, features)
    indexes = [read_era_index(footer) for footer in footers]
    check_one_sequence(indexes)
    check_unique_ids(footers)
    _check_known(eras, indexes)
    return [_selection(index, data_types, None if eras is None else set(eras)) for index in indexes]


def _check_known(eras: Collection[str] | None, indexes: Sequence[EraIndex]) -> None:
    unknown = sorted(set(eras or ()) - {era for index in indexes for era in index.eras})
    if unknown:
        raise UnknownEraError(
            f"era {unknown[0]} is in none of {', '.join(str(index.path) for index in indexes)}",
            "ask for eras that the files have",
        )


def _selection(index: EraIndex, data_types: Collection[str] | None, eras: set[str] | None) -> ChosenRows:
    keep = tuple(
        era
        for era, data_type in zip(index.eras, index.data_types, strict=True)
        if (eras is None or era in eras) and (data_types is None or data_type in data_types)
    )
    return ChosenRows(index, keep, tuple(index.ranges(set(keep))))


def _check_space(out: Path, rows: int, features: int, columns: int) -> None:
    needed, free = rows * (features + 8 * columns + 16), shutil.disk_usage(out).free
    if needed > free:
        raise StorageError(
            f"{out} needs {needed / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB are free",
            "free some space, use fewer features or set data.first_era",
        )


class _MissingCounts:
    """Finds features that are 2 in every row of an era, from blocks that may cut an era."""

    def __init__(self, chosen: Sequence[ChosenRows], features: Sequence[str]) -> None:
        self.features = features
        self.place = {era: i for i, era in enumerate(era for part in chosen for era in part.eras)}
        self.known = np.zeros((len(self.place), len(features)), dtype=bool)
        self.cells = np.zeros(len(features), dtype=np.int64)

    def add(self, index: EraIndex, block: Block) -> None:
        """Take in one block of the file that `index` describes."""
        rows, width = block.codes.shape
        columns = slice(block.column, block.column + width)
        self.cells[columns] += block.missing_cells
        first, last = np.searchsorted(index.offsets, [block.row, block.row + rows - 1], side="right") - 1
        for era in range(int(first), int(last) + 1):
            start, stop = index.offsets[era] - block.row, index.offsets[era + 1] - block.row
            part = block.codes[max(0, start) : stop]
            # The extremes tell it without a temporary array of flags as large as the block.
            known = (part.min(axis=0) != MISSING_CODE) | (part.max(axis=0) != MISSING_CODE)
            self.known[self.place[index.eras[era]], columns] |= known

    def named_cells(self) -> dict[str, int]:
        """Feature -> single missing values, where there were any."""
        return {name: int(count) for name, count in zip(self.features, self.cells, strict=True) if count}


def _write_matrix(
    chosen: Sequence[ChosenRows], features: Sequence[str], out: Path, rows_in_memory: int, progress: Progress | None
) -> tuple[_MissingCounts, list[str]]:
    """What is missing, and the digest of each era."""
    counts = _MissingCounts(chosen, features)
    total, done = sum(part.rows for part in chosen), 0
    sizes = [(stop - start) * len(features) for part in chosen for start, stop in _era_bounds(part)]
    with atomic_path(out / MATRIX) as temporary, temporary.open("wb") as handle:
        _write_header(handle, (total, len(features)), np.dtype(np.int8))
        hashed = HashedRows(handle, sizes)
        for part in chosen:
            rows = tile_rows(part.index.footer, features, rows_in_memory)
            frame = part.index.footer.scan()
            for piece in plan_pieces(part.index.footer, part.ranges, rows):
                _write_piece(hashed, part.index, frame, features, piece, rows, counts)
                done += piece.stop - piece.start
                if progress is not None:
                    progress(done, total)
    with atomic_path(out / MISSING) as temporary, temporary.open("wb") as handle:
        np.save(handle, ~counts.known)
    return counts, hashed.digests


def _write_piece(
    handle: HashedRows,
    index: EraIndex,
    frame: pl.LazyFrame,
    features: Sequence[str],
    piece: RowRange,
    rows: int,
    counts: _MissingCounts,
) -> None:
    """Append a piece in row order; blocks of columns are first laid aside in a file and then woven together.

    Writing columns straight into a mapped matrix would touch every page of it once a block, and count it all as
    resident memory.
    """
    if not piece.by_columns:
        for block in read_piece(index, frame, features, piece, rows):
            counts.add(index, block)
            handle.write(block.codes.data)
        return
    aside = Path(handle.name).with_suffix(".columns")
    try:
        with aside.open("w+b") as columns:
            widths = []
            for block in read_piece(index, frame, features, piece, rows):
                counts.add(index, block)
                columns.write(block.codes.data)
                widths.append(block.codes.shape[1])
            _weave(columns, handle, piece.stop - piece.start, widths)
    finally:
        aside.unlink(missing_ok=True)


def _weave(columns: BinaryIO, handle: HashedRows, rows: int, widths: Sequence[int]) -> None:
    """Append `rows` whole rows to `handle` from blocks [rows, width] that lie one after the other in `columns`."""
    edges = np.concatenate([[0], np.cumsum(widths)]).tolist()
    step = max(1, ASSEMBLY_BYTES // edges[-1])
    for start in range(0, rows, step):
        height = min(step, rows - start)
        woven = np.empty((height, edges[-1]), dtype=np.int8)
        for left, right in pairwise(edges):
            columns.seek(rows * left + start * (right - left))
            part = np.frombuffer(columns.read(height * (right - left)), dtype=np.int8)
            woven[:, left:right] = part.reshape(height, right - left)
        handle.write(woven.data)


def _write_columns(
    chosen: Sequence[ChosenRows], columns: Sequence[str], joined: Mapping[str, JoinedPaths], out: Path
) -> list[str]:
    """Write ids, then the float columns of the files, then the joined columns; returns the names in that order."""
    for position, name in enumerate(columns):
        parts = [_taken(part, name, pl.Float64).fill_null(float("nan")).to_numpy() for part in chosen]
        _save(out / column_file(position), np.concatenate(parts))
    ids = pl.concat([_taken(part, part.index.footer.require_id(), pl.String).alias("id") for part in chosen])
    _save(out / IDS, _packed(ids))
    names = [*columns, *joined]
    for name, values in joined_columns(joined, ids):
        _save(out / column_file(names.index(name, len(columns))), values)
    return names


def _taken(part: ChosenRows, name: str, dtype: Any) -> pl.Series:
    """The chosen rows of one column."""
    whole = part.index.footer.read({name: dtype}).to_series()
    slices = [whole.slice(start, stop - start) for start, stop in part.ranges]
    return pl.concat(slices) if slices else whole.clear()


def _packed(ids: pl.Series) -> npt.NDArray[np.bytes_]:
    """The ids as bytes of one width, UTF-8, zero-padded."""
    width = max(1, int(ids.str.len_bytes().max() or 1))  # type: ignore[arg-type]
    if len(ids) and ids.str.len_bytes().min() == width:
        joined = ids.str.join("").item().encode("utf-8")
        return np.frombuffer(joined, dtype=f"S{width}")
    return np.array([value.encode("utf-8") for value in ids.to_list()], dtype=f"S{width}")


def _save(path: Path, values: npt.NDArray[Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, values)


def _write_header(handle: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(handle, header)


def _layout(
    chosen: Sequence[ChosenRows],
    features: Sequence[str],
    columns: Sequence[str],
    missing: _MissingCounts,
    digests: Sequence[str],
) -> dict[str, Any]:
    lengths = [stop - start for part in chosen for start, stop in _era_bounds(part)]
    types = [part.index.data_types[part.index.eras.index(era)] for part in chosen for era in part.eras]
    eras = [era for part in chosen for era in part.eras]
    return {
        "format": FORMAT,
        "rows": sum(part.rows for part in chosen),
        "features": list(features),
        "eras": eras,
        "digests": dict(zip(eras, digests, strict=True)),
        "offsets": [0, *np.cumsum(lengths, dtype=np.int64).tolist()],
        "data_types": types,
        "columns": list(columns),
        "missing_cells": missing.named_cells(),
        "files": {part.index.path.name: part.rows for part in chosen},
    }


def _era_bounds(part: ChosenRows) -> list[tuple[int, int]]:
    kept, offsets = set(part.eras), part.index.offsets.tolist()
    return [
        (start, stop)
        for era, start, stop in zip(part.index.eras, offsets[:-1], offsets[1:], strict=True)
        if era in kept
    ]
