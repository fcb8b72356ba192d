"""Rows of a CSV file, plain or packed by gzip or xz, in memory that depends on a block and not on the file.

The blocks are cut here and parsed by pyarrow, which refuses a line with too few values; polars would take them for
missing ones, and the last line of a file that is cut short for a row of codes 2.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from eraflow.readable import cut
from eraflow.store.packed import Packed
from eraflow.store.rowsource import EraSequence, Tile, check_ids
from eraflow.store.tiles import as_codes, bad_value, first_bad
from eraflow.tournament.footer import ERA, ID, UNNAMED_INDEX, MissingColumnError, TruncatedFileError

BLOCK_BYTES = 4 << 20
"""Of text: about 760 rows of 2,748 features. 2 MiB took 1.7 times the CPU of 8 MiB, those 86 MiB more memory."""
MOST_HEADER_BYTES = 16 << 20
NO_VALUE = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>")


class CsvRows:
    """A CSV file with a line of column names; see `eraflow.store.rowsource.RowSource`.

    Raises:
        TruncatedFileError: it has no line of names, or is packed and damaged.
        MissingColumnError: a name stands there twice.
    """

    unit = "bytes"

    def __init__(self, path: Path) -> None:
        self.path = path
        with Packed(path) as file:
            header = file.first_line(MOST_HEADER_BYTES)
        try:
            names = next(csv.reader([header.decode("utf-8-sig")]))
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._damaged(f"its first line is no text: {error}") from error
        self._names = [name or UNNAMED_INDEX for name in names]  # pandas leaves the name of an unnamed index empty
        if len(set(self._names)) != len(self._names):
            twice = min(name for name, times in Counter(self._names).items() if times > 1)
            raise MissingColumnError(f"{path} names column {cut(twice, 80)!r} twice", "write the file again")
        self._type = pa.int8()  # of the features; codes written as 2.0 need the next

    @property
    def columns(self) -> Collection[str]:
        """The names in the first line."""
        return self._names

    def tiles(
        self, features: Sequence[str], *, most_rows: int, skip: int = 0, scratch: Path | None = None
    ) -> Iterator[Tile]:
        """See `RowSource.tiles`; nothing is turned round here. Rows that are skipped are unpacked, but not parsed."""
        name = self._id_column()
        eras, row = EraSequence(self.path), 0
        with Packed(self.path) as file:
            file.first_line(MOST_HEADER_BYTES)
            for block in file.lines(BLOCK_BYTES):
                text, row = _without_rows(block, row, skip)
                if text:
                    for tile in self._block(text, name, features, eras, row, (file.position, file.size)):
                        yield from _cut(tile, most_rows)
                        row += len(tile.ids)

    def _block(
        self,
        text: bytes,
        name: str,
        features: Sequence[str],
        eras: EraSequence,
        row: int,
        progress: tuple[int, int],
    ) -> Iterator[Tile]:
        raw = self._parsed(text, name, features)
        if row == 0 and name == UNNAMED_INDEX and _counts(raw[name]):
            raise MissingColumnError(
                f"{self.path} has no column `{ID}`, only row numbers without a name", "write the file with its ids"
            )
        codes, _ = as_codes(_numbers(raw.select(features)))
        runs = raw.select(pl.col(ERA).rle().struct.unnest())
        wrong = first_bad(codes)
        start = 0
        for label, length in zip(runs["value"].to_list(), runs["len"].to_list(), strict=True):
            era = eras.add(label, row + start)
            if wrong is not None and wrong[0] < start + length:
                value = raw[features[wrong[1]]][wrong[0]]
                raise bad_value(self.path, features[wrong[1]], value, row + wrong[0], era)
            ids = check_ids(raw[name].slice(start, length), self.path, row + start)
            yield Tile(era, ids, codes[start : start + length], *progress)
            start += length

    def _parsed(self, text: bytes, name: str, features: Sequence[str]) -> pl.DataFrame:
        """A block as id, era and features: whole numbers, else floats, else the text for an error to name."""
        for kind in (pa.int8(), pa.float32(), pa.string()):
            if kind != self._type and kind == pa.int8():
                continue
            try:
                table = pacsv.read_csv(
                    pa.BufferReader(text),
                    read_options=pacsv.ReadOptions(
                        column_names=self._names, use_threads=False, block_size=len(text) + 1
                    ),
                    parse_options=pacsv.ParseOptions(ignore_empty_lines=False),
                    convert_options=pacsv.ConvertOptions(
                        include_columns=[name, ERA, *features],
                        column_types={name: pa.string(), ERA: pa.string(), **dict.fromkeys(features, kind)},
                        null_values=list(NO_VALUE),
                    ),
                )
            except (pa.ArrowException, UnicodeDecodeError) as error:
                if kind == pa.string() or "conversion error" not in str(error):
                    raise self._damaged(str(error).splitlines()[0]) from error
                continue
            self._type = kind if kind != pa.string() else self._type
            frame = pl.from_arrow(table)
            if isinstance(frame, pl.DataFrame) and frame.height == text.count(b"\n"):
                return frame
        raise self._damaged("a value goes on over the end of its line")

    def _id_column(self) -> str:
        if ERA not in self._names:
            raise MissingColumnError(
                f"{self.path} has no column `{ERA}`", "use files of one data version, or download it again"
            )
        for name in (ID, UNNAMED_INDEX):
            if name in self._names:
                return name
        raise MissingColumnError(f"{self.path} has no column `{ID}`", "write the file with its ids")

    def _damaged(self, reason: str) -> TruncatedFileError:
        return TruncatedFileError(f"{self.path} cannot be read: {reason[:300]}", "delete it and download it again")


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Text as floats; what is no number becomes one that is refused."""
    if not any(kind == pl.String for kind in frame.schema.values()):
        return frame
    text = pl.all()
    number = text.cast(pl.Float32, strict=False)
    missing = text.is_null() | text.is_in(NO_VALUE)
    return frame.select(pl.when(~missing).then(number.fill_null(-1.0)))


def _counts(ids: pl.Series) -> bool:
    """Whether they are row numbers: 0, 1, 2 and so on."""
    return bool(ids.equals(pl.Series(ids.name, range(len(ids))).cast(pl.String)))


def _without_rows(block: bytes, row: int, skip: int) -> tuple[bytes, int]:
    """What of a block lies behind the rows to be skipped, and the number of its first row."""
    if row >= skip:
        return block, row
    lines = block.count(b"\n")
    if row + lines <= skip:
        return b"", row + lines
    place = 0
    for _ in range(skip - row):
        place = block.index(b"\n", place) + 1
    return block[place:], skip


def _cut(tile: Tile, most_rows: int) -> Iterator[Tile]:
    for start in range(0, len(tile.ids), most_rows):
        part = slice(start, start + most_rows)
        yield Tile(tile.era, tile.ids[part], tile.codes[part], tile.done, tile.total)
