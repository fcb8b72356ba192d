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

from eraflow.store.atomic import storage_errors
from eraflow.store.footerparts import MAGIC, Footer, UnusualFooterError, footer_bytes, walk_footer
from eraflow.store.parquetrows import ParquetRows, Part
from eraflow.store.rowsource import EraSequence, Tile

LARGE_FOOTER = 2 << 20
"""Bytes of a footer that is still read as a whole: at 58 (no statistics) to 120 a column of a row group, some 18 MiB in
memory at most."""
MOST_CHUNKS = 1 << 14
"""Columns of row groups in a part: 8 MiB of footer in memory."""
COPY_BYTES = 1 << 20


class ParquetParts:
    """A parquet file of many row groups; see `eraflow.store.rowsource.RowSource`.

    Types are checked before the first tile, eras part by part.
    """

    unit = "rows"

    def __init__(self, path: Path, footer: Footer) -> None:
        self.path = path
        self._footer = footer
        self._spans = _spans(footer)

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
        for start, stop in self._spans:
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
        groups = self._footer.groups[start:stop]
        begin, end = self._footer.data_span(start, stop)
        with storage_errors(scratch):
            file = tempfile.TemporaryFile(dir=scratch, prefix=".eraflow-part-")  # noqa: SIM115 - closed below
        with file:
            with storage_errors(scratch), self.path.open("rb") as original:
                file.write(MAGIC)
                original.seek(groups[0].begin)
                entries = original.read(groups[-1].end - groups[0].begin)
                _copy(original, file, begin, end)
                file.write(self._footer.of(start, stop, entries))
                file.flush()
                file.seek(0)
            yield file


def parquet_source(path: Path) -> ParquetRows | ParquetParts:
    """The reader for a parquet file: as a whole, or part by part where its footer would take much memory.

    Raises:
        TruncatedFileError: it has no readable footer.
    """
    if footer_bytes(path) <= LARGE_FOOTER:
        return ParquetRows(path)
    try:
        footer = walk_footer(path)
    except UnusualFooterError:
        return ParquetRows(path)  # which can read it all the same, or names what is wrong
    return ParquetParts(path, footer)


def _spans(footer: Footer) -> list[tuple[int, int]]:
    """First and stop of the row groups of each part."""
    count = max(1, MOST_CHUNKS // len(footer.names))
    return [(start, min(start + count, len(footer.groups))) for start in range(0, len(footer.groups), count)]


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
