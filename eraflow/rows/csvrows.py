"""Rows of a CSV file, in memory that depends on a block and not on the file; see `eraflow.rows.csvtext` for its forms.

The blocks are cut here and parsed by pyarrow, which refuses a line with too few values; polars would take them for
missing ones, and the last line of a file that is cut short for a row of codes 2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from eraflow.data.codes import as_codes, bad_value, first_bad
from eraflow.data.footer import ERA
from eraflow.rows.csvtext import NO_VALUE, CsvText
from eraflow.rows.rowsource import EraSequence, Tile, check_ids

BLOCK_BYTES = 4 << 20
"""Of text: about 760 rows of 2,748 features. 2 MiB took 1.7 times the CPU of 8 MiB, those 86 MiB more memory."""
KINDS = ((pa.int8(), False), (pa.float32(), False), (pa.float32(), True), (pa.string(), False))
"""How features are read, whether with decimal commas: the first that fits; text is for an error to name."""


class CsvRows:
    """A CSV file with a line of column names; see `eraflow.rows.rowsource.RowSource`.

    Raises:
        TruncatedFileError: it has no line of names, or is compressed and damaged.
        MissingColumnError: a name stands there twice.
    """

    unit = "bytes"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = CsvText(path)
        self._kind = 0  # of `KINDS`, for the features so far

    @property
    def columns(self) -> Collection[str]:
        """The names in the first line."""
        return self._text.names

    def tiles(
        self, features: Sequence[str], *, most_rows: int, skip: int = 0, scratch: Path | None = None
    ) -> Iterator[Tile]:
        """See `RowSource.tiles`; nothing is turned round. Rows that are skipped are decompressed, but not parsed."""
        name = self._id_column()
        eras, row = EraSequence(self.path), 0
        for block, position, size in self._text.blocks(BLOCK_BYTES):
            text, row = _without_rows(block, row, skip)
            if text:
                for tile in self._block(text, name, features, eras, row, (position, size)):
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
        raw = self._parsed(text, name, features, row)
        if row == 0:
            self._text.check_index(name, raw[name])
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

    def _parsed(self, text: bytes, name: str, features: Sequence[str], row: int) -> pl.DataFrame:
        """A block as id, era and features: whole numbers, else floats, else the text for an error to name."""
        for place, (kind, decimal_comma) in enumerate(KINDS):
            if place < self._kind or (decimal_comma and self._text.separator == "," and b'"' not in text):
                continue
            columns = {name: pa.string(), ERA: pa.string(), **dict.fromkeys(features, kind)}
            try:
                table = self._text.table(text, columns, decimal_comma=decimal_comma, first_row=row)
            except pa.ArrowInvalid:
                continue
            self._kind = place if kind != pa.string() else self._kind
            frame = pl.from_arrow(table)
            if isinstance(frame, pl.DataFrame):
                return frame.with_columns(pl.col(name, ERA).str.strip_chars())
        raise self._text.damaged("its values are no text")

    def _id_column(self) -> str:
        if ERA not in self._text.names:
            raise self._text.lacks(ERA, "write the file with the era of each row")
        return self._text.id_column()


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Text as floats; what is no number becomes one that is refused."""
    if not any(kind == pl.String for kind in frame.schema.values()):
        return frame
    text = pl.all()
    number = text.cast(pl.Float32, strict=False)
    missing = text.is_null() | text.is_in(NO_VALUE)
    return frame.select(pl.when(~missing).then(number.fill_null(-1.0)))


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
