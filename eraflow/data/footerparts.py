"""The footer of a parquet file a few row groups at a time, without building it as a whole.

Every reader turns a footer into half a kibibyte or more for each column of each row group. A file of a thousand eras
and three thousand columns with one row group an era so costs gigabytes before its first row is read. Here the bytes of
the footer are only walked over: where each row group's entry begins and ends, and where its data lie. Any few entries,
with the beginning and the end of the footer around them, are again a footer.

The layout is that of apache/parquet-format `parquet.thrift` (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData),
written in Thrift's compact protocol (apache/thrift `doc/specs/thrift-compact-protocol.md`).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from eraflow.data.compactprotocol import BINARY, LISTS, Cursor, list_head, varint
from eraflow.data.compactprotocol import UnusualFooterError as UnusualFooterError
from eraflow.errors import EraflowError

MAGIC = b"PAR1"
LARGE_FOOTER = 2 << 20
"""Bytes of a footer that is still read as a whole: at 58 (no statistics) to 120 for a column of a row group, that is 18
MiB in memory with polars and 50 with pyarrow, at most."""
MOST_CHUNKS = 1 << 14
"""Columns of row groups in a part: 8 MiB in memory with polars, 22 with pyarrow."""
TAIL = 8
"""Bytes behind the footer: its length and the magic."""
SMALL_FOOTER = 128 << 10
"""Bytes of a footer that cannot hold so much that somebody should count it first."""
LARGEST_WHOLE = 64 << 20
"""Bytes of a footer that may be read as a whole because it is laid out in an unusual way."""
MOST_COLUMNS, MOST_GROUPS = 50_000, 50_000
"""Of a file. Numerai's widest data have some 3,600 columns and 1,300 eras; readers take a kilobyte and more for each
row group, also where it holds nothing."""
SCHEMA, ROWS, GROUPS = 2, 3, 4
"""Fields of FileMetaData."""
ELEMENT_NAME, ELEMENT_CHILDREN = 4, 5
GROUP_COLUMNS, GROUP_ROWS = 1, 3
CHUNK_META, META_PATH, META_DATA_PAGE, META_DICTIONARY_PAGE = 3, 3, 9, 11


class OversizedFooterError(EraflowError):
    """The footer of a parquet file describes more than can be read in reasonable time and memory."""

    code = "oversized_footer"


@dataclass(frozen=True)
class GroupEntry:
    """A row group.

    Attributes:
        begin, end: where its entry lies in the footer.
        data: where the data of its first column begin in the file.
        last: the highest place known at which the data of a column begin: of the last column at least.
        rows: of it.
    """

    begin: int
    end: int
    data: int
    last: int
    rows: int


@dataclass(frozen=True)
class WalkedFooter:
    """What was found.

    Attributes:
        names: of the columns.
        rows: of the file.
        groups: in the order of the rows.
        before, after: the bytes of the footer up to the number of rows, and behind the row groups.
        between: those from behind the number of rows to the row groups.
        start: where the footer begins in the file, and the data end.
    """

    names: tuple[str, ...]
    rows: int
    groups: Sequence[GroupEntry]
    before: bytes
    between: bytes
    after: bytes
    start: int

    def spans(self) -> list[tuple[int, int]]:
        """First and stop of the row groups of each part; a part has one at least."""
        count = max(1, MOST_CHUNKS // len(self.names))
        return [(first, min(first + count, len(self.groups))) for first in range(0, len(self.groups), count)]

    def part(self, file: BinaryIO, first: int, stop: int) -> bytes:
        """A footer of some of the row groups of `file`, with its length and the magic behind it."""
        groups = self.groups[first:stop]
        file.seek(groups[0].begin)
        entries = file.read(groups[-1].end - groups[0].begin)
        rows = sum(group.rows for group in groups)
        content = b"".join([self.before, varint(rows << 1), self.between, list_head(stop - first), entries, self.after])
        return content + len(content).to_bytes(4, "little") + MAGIC

    def data_span(self, first: int, stop: int) -> tuple[int, int]:
        """Where the data of some row groups begin and end in the file."""
        end = self.groups[stop].data if stop < len(self.groups) else self.start
        return self.groups[first].data, end


def footer_bytes(path: Path) -> int:
    """Size of the footer; 0 where the file does not end like parquet."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        tail = file.read(TAIL)
    length = int.from_bytes(tail[:4], "little")
    return length if tail[4:] == MAGIC and len(MAGIC) + length + TAIL <= size else 0


def walk_if_large(path: Path) -> WalkedFooter | None:
    """The row groups' entries of a large footer; None where a reader of whole footers is to be used.

    That one can read what is unusual all the same, or names what is wrong with it.

    Raises:
        OversizedFooterError: it has more columns or row groups than any data, or is unusual and too large to be read as
            a whole.
    """
    size = footer_bytes(path)
    if size > SMALL_FOOTER:
        check_counts(path)
    if size <= LARGE_FOOTER:
        return None
    try:
        return walk_footer(path)
    except UnusualFooterError as error:
        if size > LARGEST_WHOLE:
            raise OversizedFooterError(
                f"{path} has a footer of {size:,} bytes that is laid out in an unusual way ({error})", _REWRITE
            ) from None
        return None


_REWRITE = "write the file again with pyarrow or polars and row groups of an era or more, or download it again"


def check_counts(path: Path) -> None:
    """Refuse a footer of senselessly many columns or row groups before any reader makes something of each.

    Raises:
        OversizedFooterError: there are more than 50,000 of either.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        at = _Cursor(view, len(view) - TAIL - footer_bytes(path))
        try:
            for field, kind in at.fields():
                if field in (SCHEMA, GROUPS) and kind in LISTS:
                    count = _Cursor(view, at.place).list_head()[0]
                    _check_count(path, count, field)
                    if field == GROUPS:
                        return
                at.skip(kind)
        except (IndexError, UnusualFooterError):
            return  # damaged, or unusual: for the reader to name


def _check_count(path: Path, count: int, field: int) -> None:
    what, most = ("row groups", MOST_GROUPS) if field == GROUPS else ("columns", MOST_COLUMNS)
    if count > most:
        raise OversizedFooterError(f"{path} has {count:,} {what}; at most {most:,} are read", _REWRITE)


def walk_footer(path: Path) -> WalkedFooter:
    """Find the row groups' entries, in memory that does not grow with the size of the footer.

    Raises:
        UnusualFooterError: the file is damaged, encrypted, has nested columns, or is otherwise not as expected.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        end = len(view) - TAIL
        start = end - footer_bytes(path)
        try:
            return _walk(view, start, end)
        except (IndexError, UnicodeDecodeError):
            raise UnusualFooterError(f"{path}: no footer") from None


def _walk(view: mmap.mmap, start: int, end: int) -> WalkedFooter:
    at = _Cursor(view, start)
    names: list[bytes] = []
    groups: list[GroupEntry] = []
    rows = rows_begin = rows_end = list_begin = list_end = 0
    for field, kind in at.fields():
        if field == SCHEMA:
            names = _leaves(at)
        elif field == ROWS:
            rows_begin, rows, rows_end = at.place, at.signed(), at.place
        elif field == GROUPS and names and rows_end:
            list_begin, (count, _) = at.place, at.list_head()
            groups, list_end = list(_groups(view, at, count, names, end)), at.place
        else:
            at.skip(kind)
    if not names or at.place != end or sum(group.rows for group in groups) != rows:
        raise UnusualFooterError("the entries of the row groups do not add up")
    behind = [group.data for group in groups[1:]] + [start]
    if any(not group.data <= group.last < stop for group, stop in zip(groups, behind, strict=True)):
        raise UnusualFooterError("the data of the row groups do not lie one behind the other")
    return WalkedFooter(
        names=tuple(name.decode() for name in names), rows=rows, groups=groups, start=start,
        before=view[start:rows_begin], between=view[rows_end:list_begin], after=view[list_end:end],
    )  # fmt: skip


def _groups(view: mmap.mmap, at: _Cursor, count: int, names: Sequence[bytes], end: int) -> Iterator[GroupEntry]:
    """The entries; pages of the mapped file behind the cursor are given back to the system."""
    last = bytes([(META_PATH - 2) << 4 | LISTS[0], 1 << 4 | BINARY]) + varint(len(names[-1])) + names[-1]
    for number in range(count):
        begin, data, rows = at.place, [0], 0
        for field, kind in at.fields():
            if field == GROUP_COLUMNS:
                if at.list_head()[0] != len(names):
                    raise UnusualFooterError("a row group without some of the columns")
                # All columns of the first group are looked at: no writer changes their order from group to group.
                data = [at.chunk() for _ in (names if number == 0 else names[:1])]
                if data[0] != min(data):
                    raise UnusualFooterError("the data of the columns do not lie in their order")
                if len(data) < len(names):
                    data.append(at.jump_into_chunk(last, end))
            elif field == GROUP_ROWS:
                rows = at.signed()
            else:
                at.skip(kind)
        yield GroupEntry(begin, at.place, data[0], max(data), rows)
        _forget(view, begin, at.place)


def _forget(view: mmap.mmap, begin: int, end: int) -> None:
    """Without this every page that was looked at would count as this process's memory."""
    if hasattr(view, "madvise"):
        begin -= begin % mmap.PAGESIZE
        view.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def _leaves(at: _Cursor) -> list[bytes]:
    """Names of the columns; the first element of a schema is its root."""
    elements = []
    for _ in range(at.list_head()[0]):
        name, children = b"", 0
        for field, kind in at.fields():
            if field == ELEMENT_NAME:
                name = at.binary()
            elif field == ELEMENT_CHILDREN:
                children = at.signed()
            else:
                at.skip(kind)
        elements.append((name, children))
    if any(children for _, children in elements[1:]):
        raise UnusualFooterError("a column of columns")
    return [name for name, _ in elements[1:]]


class _Cursor(Cursor):
    """A cursor that knows how the chunks of a column are described."""

    def chunk(self) -> int:
        """Go to the end of a ColumnChunk; returns where its data begin."""
        first = 0
        for field, kind in self.fields():
            if field == CHUNK_META:
                first = self._first_page(0)
            else:
                self.skip(kind)
        if not first:
            raise UnusualFooterError("a column without pages")
        return first

    def jump_into_chunk(self, column: bytes, end: int) -> int:
        """Go to the end of the chunk whose path is written as `column`, over all before it; see `chunk`."""
        found = self.data.find(column, self.place, end)
        if found < 0:
            raise UnusualFooterError("a row group without the last column")
        self.place = found + len(column)
        first = self._first_page(META_PATH)
        for _, kind in self.fields(CHUNK_META):
            self.skip(kind)
        return first

    def _first_page(self, last: int) -> int:
        """The first byte of the pages that a ColumnMetaData tells of from behind its field `last`; goes to its end."""
        pages = []
        for field, kind in self.fields(last):
            if field in (META_DATA_PAGE, META_DICTIONARY_PAGE):
                pages.append(self.signed())
            else:
                self.skip(kind)
        return min((page for page in pages if page > 0), default=0)
