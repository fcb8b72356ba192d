"""Is a downloaded file whole? Checks that need no knowledge of the tournament, only of the file format."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from eraflow.data.codes import as_codes, first_bad
from eraflow.data.footer import metadata_parts
from eraflow.data.footerparts import walk_if_large
from eraflow.data.readable import reading
from eraflow.disk.plainpaths import scan_parquet
from eraflow.foreigntext import cut
from eraflow.numerai.errors import DownloadCorruptError

_MAGIC = b"PAR1"
_TAIL_BYTES = 8  # length of the footer (4 bytes, little endian) and the magic
_REMEDY = "delete it and fetch it anew"
MOST_BYTES = 64 << 20
"""Of a JSON file."""
DECODED_VALUES = 4 << 20
"""Decoded at once; the pages of a column of a row group are decompressed together, however large they are."""


def check_ends(path: Path) -> None:
    """Check that a file begins and ends like parquet; nothing is parsed, what lies between is for `verify_parquet`.

    Raises:
        DownloadCorruptError: naming the file and what is wrong with it.
    """
    with reading(path, lambda reason: DownloadCorruptError(f"{path.name}: {reason}", _REMEDY)):
        _footer_bytes(path)


def verify_parquet(path: Path, codes: Collection[str] | None = None) -> int:
    """Check that a parquet file is whole: its ends, its footer, every row group inside the file, and every page.

    Each page of each column is decoded once, some columns of a row group at a time; checksums of pages are compared
    where the writer left them. pyarrow parses foreign bytes in native code, which may abort: not to be called in a
    process that has to live on.

    Args:
        path: the file.
        codes: None where a checksum speaks for the bytes. Otherwise columns of whole numbers from 0 to 4; polars, which
            reads the data later and bears less than pyarrow in places, then decodes every page as well.

    Returns:
        The number of rows.

    Raises:
        DownloadCorruptError: naming the file and what is wrong with it.
        StageOutOfMemory, UnreadableFileError: its bytes are not to blame.
    """
    with reading(path, lambda reason: DownloadCorruptError(f"{path.name}: parquet cannot be read: {reason}", _REMEDY)):
        footer_bytes = _footer_bytes(path)
        walked, first = walk_if_large(path), 0
        groups: list[int] = []
        parts: Iterable[Any] = [None] if walked is None else metadata_parts(path, walked)
        for part in parts:
            with pq.ParquetFile(path, metadata=part, page_checksum_verification=True) as file:
                _check_row_groups(path, file.metadata, path.stat().st_size - _TAIL_BYTES - footer_bytes, first)
                groups += _decode(path, file, first)
                first = len(groups)
        if codes is not None:
            _decode_with_polars(path, groups, frozenset(codes))
    return sum(groups)


def _footer_bytes(path: Path) -> int:
    size = path.stat().st_size
    if size < _TAIL_BYTES + len(_MAGIC):
        raise DownloadCorruptError(f"{path.name}: {size} bytes are no parquet file", _REMEDY)
    with path.open("rb") as handle:
        head = handle.read(len(_MAGIC))
        handle.seek(-_TAIL_BYTES, 2)
        tail = handle.read(_TAIL_BYTES)
    if head != _MAGIC or tail[4:] != _MAGIC:
        raise DownloadCorruptError(f"{path.name}: truncated, or no parquet file: the mark PAR1 is missing", _REMEDY)
    footer = int.from_bytes(tail[:4], "little")
    if footer + _TAIL_BYTES + len(_MAGIC) > size:
        raise DownloadCorruptError(f"{path.name}: its footer claims {footer} bytes of a file of {size}", _REMEDY)
    return footer


def _check_row_groups(path: Path, metadata: pq.FileMetaData, end_of_data: int, first: int) -> None:
    """Of the file's row groups from `first` on."""
    rows = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        rows += group.num_rows
        for column in range(group.num_columns):
            chunk = group.column(column)
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                start = min(start, chunk.dictionary_page_offset)
            if start < len(_MAGIC) or start + chunk.total_compressed_size > end_of_data:
                raise DownloadCorruptError(
                    f"{path.name}: row group {first + number} column {chunk.path_in_schema} lies outside the file",
                    _REMEDY,
                )
    if rows != metadata.num_rows:
        raise DownloadCorruptError(f"{path.name}: {rows} rows in its groups, {metadata.num_rows} announced", _REMEDY)


def _decode(path: Path, file: pq.ParquetFile, first: int) -> list[int]:
    """Of the file's row groups from `first` on; the rows of each."""
    names = list(dict.fromkeys(file.schema_arrow.names))
    groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    for number, expected in enumerate(groups):
        for some in _blocks(names, expected):
            read = file.read_row_group(number, columns=some, use_threads=False)
            _check_rows(path, first + number, read.num_rows, expected)
    return groups


def _decode_with_polars(path: Path, groups: Sequence[int], codes: Collection[str]) -> None:
    frame = scan_parquet(path)
    names, start = list(frame.collect_schema().names()), 0
    for number, expected in enumerate(groups):
        for some in _blocks(names, expected):
            read = frame.select(some).slice(start, expected).collect()
            _check_rows(path, number, read.height, expected)
            _check_codes(path, number, read.select(name for name in some if name in codes))
        start += expected


def _blocks(names: Sequence[str], rows: int) -> Iterator[list[str]]:
    """The columns, so many at a time as can be decoded at once."""
    width = max(1, DECODED_VALUES // max(rows, 1))
    yield from (list(names[place : place + width]) for place in range(0, len(names), width))


def _check_rows(path: Path, group: int, found: int, expected: int) -> None:
    if found != expected:
        raise DownloadCorruptError(f"{path.name}: row group {group}: {found} of {expected} rows", _REMEDY)


def _check_codes(path: Path, group: int, read: pl.DataFrame) -> None:
    if not all(kind.is_numeric() or kind == pl.Null for kind in read.dtypes):
        return  # the contract names types that are none of a feature
    wrong = first_bad(as_codes(read)[0]) if read.width else None
    if wrong is not None:
        column = read.to_series(wrong[1])
        raise DownloadCorruptError(
            f"{path.name}: {cut(column.name, 80)} is {column[wrong[0]]} in row {wrong[0]} of row group {group}; "
            "features are 0 to 4",
            _REMEDY,
        )


def verify_json(path: Path) -> None:
    """Check that a file is UTF-8 JSON and holds a non-empty object or list.

    Raises:
        DownloadCorruptError: naming the file and the place of the fault.
    """
    with reading(path, lambda reason: DownloadCorruptError(f"{path.name}: not JSON: {reason}", _REMEDY)):
        if path.stat().st_size > MOST_BYTES:
            raise DownloadCorruptError(f"{path.name}: JSON of {path.stat().st_size:,} bytes", _REMEDY)
        value = json.loads(path.read_bytes().decode("utf-8"))
    if not isinstance(value, dict | list) or not value:
        raise DownloadCorruptError(f"{path.name}: JSON without content", _REMEDY)


def verify_some(path: Path) -> None:
    """Check that a file is not empty, for formats that tell no more.

    Raises:
        DownloadCorruptError: the file is empty.
    """
    if path.stat().st_size == 0:
        raise DownloadCorruptError(f"{path.name}: an empty file", _REMEDY)


def verifier(name: str) -> Callable[[Path], object]:
    """The check that fits a file of this name: parquet, JSON, or at least not empty."""
    by_suffix: dict[str, Callable[[Path], object]] = {".parquet": verify_parquet, ".json": verify_json}
    return by_suffix.get(Path(name).suffix.lower(), verify_some)
