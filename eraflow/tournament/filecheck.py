"""Is a downloaded file whole? Checks that need no knowledge of the tournament, only of the file format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eraflow.tournament.api_errors import DownloadCorruptError
from eraflow.readable import reading, require_file
from eraflow.tournament.footer import metadata_parts
from eraflow.tournament.footerparts import walk_if_large

_MAGIC = b"PAR1"
_TAIL_BYTES = 8  # length of the footer (4 bytes, little endian) and the magic
_REMEDY = "delete it and fetch it anew"
MOST_BYTES = 64 << 20
"""Of a JSON file."""


def verify_parquet(path: Path) -> None:
    """Check that a parquet file is whole: magic at both ends, a readable footer, every row group inside the file.

    The first and the last column of each row group are decoded as well: two files spliced together have a good footer
    over foreign pages.

    Raises:
        DownloadCorruptError: naming the file and what is wrong with it.
    """
    footer_bytes = _footer_bytes(path)
    try:
        walked, first = walk_if_large(path), 0
        parts: Iterable[Any] = [None] if walked is None else metadata_parts(path, walked)
        for part in parts:
            with pq.ParquetFile(path, metadata=part) as file:
                _check_row_groups(path, file.metadata, path.stat().st_size - _TAIL_BYTES - footer_bytes, first)
                _decode_edges(path, file, first)
                first += file.metadata.num_row_groups
    except (pa.ArrowException, OSError) as error:
        raise DownloadCorruptError(f"{path.name}: parquet cannot be read: {_first_line(error)}", _REMEDY) from error


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


def _decode_edges(path: Path, file: pq.ParquetFile, first: int) -> None:
    """Of the file's row groups from `first` on."""
    names = file.schema_arrow.names
    edges = sorted({names[0], names[-1]}) if names else []
    for number in range(file.metadata.num_row_groups):
        read = file.read_row_group(number, columns=edges, use_threads=False)
        expected = file.metadata.row_group(number).num_rows
        if read.num_rows != expected:
            raise DownloadCorruptError(
                f"{path.name}: row group {first + number}: {read.num_rows} of {expected} rows", _REMEDY
            )


def verify_json(path: Path) -> None:
    """Check that a file is UTF-8 JSON and holds a non-empty object or list.

    Raises:
        DownloadCorruptError: naming the file and the place of the fault.
    """
    if path.stat().st_size > MOST_BYTES:
        raise DownloadCorruptError(f"{path.name}: JSON of {path.stat().st_size:,} bytes", _REMEDY)
    with reading(path, lambda reason: DownloadCorruptError(f"{path.name}: not JSON: {reason}", _REMEDY)):
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


def verifier(name: str) -> Callable[[Path], None]:
    """The check that fits a file of this name: parquet, JSON, or at least not empty."""
    by_suffix = {".parquet": verify_parquet, ".json": verify_json}
    return by_suffix.get(Path(name).suffix.lower(), verify_some)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
