"""Rows of a parquet file of very many row groups: some of them at a time, as a small file with a footer of their own.

The part's bytes are copied to a file without a name on the scratch disk, at the places where they lie in the original
and with nothing between: such a file takes no more room than the part, and the system removes it with the process. What
is held is then the footer of a part, however many eras the file has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from eraflow.data.footerparts import MAGIC, WalkedFooter, walk_if_large
from eraflow.disk.atomic import storage_errors
from eraflow.rows.parquetrows import ParquetRows, Part
from eraflow.rows.rowsource import EraSequence, Tile

COPY_BYTES = 1 << 20


class ParquetParts:
    """A parquet file of many row groups; see `eraflow.rows.rowsource.RowSource`.

    Types are checked before the first tile, eras part by part.
    """

    unit = "rows"

    def __init__(self, path: Path, footer: WalkedFooter) -> None:
        self.path = path
        self._footer = footer

    @property
    def columns(self) -> Collection[str]:
        """Names of the columns."""
        return self._footer.names

    def tiles(
        self, features: Sequence[str], *, most_rows: int, skip: int = 0, scratch: Path | None = None
    ) -> Iterator[Tile]:
        """See `RowSource.tiles`. Without a scratch folder the footer is held as a whole."""
        if scratch is None:
            yield from ParquetRows(self.path).tiles(features, most_rows=most_rows, skip=skip)
            return
        sequence, first = EraSequence(self.path), 0
        for start, stop in self._footer.spans():
            groups = self._footer.groups[start:stop]
            rows = sum(group.rows for group in groups)
            if first + rows > skip:
                with self._file(start, stop, scratch) as file:
                    part = Part(file, first, self._footer.rows, max(group.rows for group in groups), sequence)
                    source = ParquetRows(self.path, part)
                    yield from source.tiles(features, most_rows=most_rows, skip=max(0, skip - first), scratch=scratch)
            first += rows

    @contextmanager
    def _file(self, start: int, stop: int, scratch: Path) -> Iterator[BinaryIO]:
        """Some row groups as a file of their own."""
        begin, end = self._footer.data_span(start, stop)
        with storage_errors(scratch):
            file = tempfile.TemporaryFile(dir=scratch, prefix=".eraflow-part-")  # noqa: SIM115 - closed below
        with file:
            with storage_errors(scratch), self.path.open("rb") as original:
                file.write(MAGIC)
                _copy(original, file, begin, end)
                file.write(self._footer.part(original, start, stop))
                file.flush()
                file.seek(0)
            yield file


def parquet_source(path: Path) -> ParquetRows | ParquetParts:
    """The reader for a parquet file: as a whole, or part by part where its footer would take much memory.

    Raises:
        TruncatedFileError: it has no readable footer.
    """
    footer = walk_if_large(path)
    return ParquetRows(path) if footer is None else ParquetParts(path, footer)


def _copy(original: BinaryIO, file: BinaryIO, begin: int, end: int) -> None:
    """Copy bytes to the same place of another file."""
    original.seek(begin)
    file.seek(begin)
    while begin < end:
        content = original.read(min(COPY_BYTES, end - begin))
        if not content:
            break  # the decoder will name what is missing
        file.write(content)
        begin += len(content)
