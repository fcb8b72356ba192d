"""The text of a CSV file, as programs and people write it: what separates its values, its names, blocks of whole lines.

Commas, semicolons, tabs or bars; names with or without quotes; a byte-order mark; CR LF; blank lines; decimal commas
where they are beyond doubt; plain or compressed by gzip or xz. What cannot be read safely is named.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from eraflow.data.footer import ERA, ID, UNNAMED_INDEX, MissingColumnError, TruncatedFileError
from eraflow.data.footerparts import MOST_COLUMNS
from eraflow.foreigntext import cut
from eraflow.rows.compressed import UTF_16, CompressedFile

MOST_HEADER_BYTES = 16 << 20
SEPARATORS = (",", ";", "\t", "|")
KNOWN = frozenset({ID, ERA, "prediction", "probability"})
"""Names by which a separator is known for sure."""
NO_VALUE = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>")
SHOWN = 60
"""Characters of a file's content in an error."""
SEPARATOR_LINE = re.compile(rb"sep=(.)\s*", re.IGNORECASE)
"""What Excel writes before the names."""
AGAIN = "write or download it again"


class CsvText:
    """A CSV file with a line of names.

    Attributes:
        path: the file.
        names: of its columns; an index that pandas left without a name is called `UNNAMED_INDEX`.
        separator: between its values.

    Raises:
        TruncatedFileError: it has no line of names, or is compressed and damaged.
        MissingColumnError: a name stands there twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with CompressedFile(path) as file:
            header, self.separator, self._lines_before = self._header(file)
        try:
            self.names = _names(header, self.separator)
        except csv.Error as error:
            raise self.damaged(f"its line of names is none: {error}") from error
        if len(self.names) > MOST_COLUMNS:
            raise self.damaged(f"{len(self.names):,} columns; at most {MOST_COLUMNS:,} are read")
        if len(set(self.names)) != len(self.names):
            twice = min(name for name, times in Counter(self.names).items() if times > 1)
            raise MissingColumnError(f"{path} names column {cut(twice, SHOWN)!r} twice", "write each column once")

    def blocks(self, size: int) -> Iterator[tuple[bytes, int, int]]:
        """Whole lines without the names, and without those that are blank or hold separators alone; bytes of the file
        read so far, and all of them.

        Raises:
            TruncatedFileError: the last line has no end, or a compressed file is damaged.
        """
        blank = re.compile(rb"(?m)^[ \r%s]*\n" % re.escape(self.separator.encode("latin-1")))
        with CompressedFile(self.path) as file:
            for _ in range(self._lines_before):
                file.first_line(MOST_HEADER_BYTES)
            for block in file.lines(size):
                yield blank.sub(b"", block), file.position, file.size

    def table(
        self, text: bytes, columns: Mapping[str, pa.DataType], *, decimal_comma: bool = False, first_row: int = 0
    ) -> pa.Table:
        """Some columns of a block, each as the type given for it.

        Args:
            text: from `blocks`.
            columns: name -> type.
            decimal_comma: numbers are written as 0,5.
            first_row: of the block, for errors.

        Raises:
            pa.ArrowInvalid: a value does not fit its type ("conversion error").
            TruncatedFileError: a line has too few or too many values.
        """
        try:
            table = pacsv.read_csv(
                pa.BufferReader(text),
                read_options=pacsv.ReadOptions(column_names=self.names, use_threads=False, block_size=len(text) + 1),
                parse_options=pacsv.ParseOptions(delimiter=self.separator, ignore_empty_lines=False),
                convert_options=pacsv.ConvertOptions(
                    include_columns=list(columns),
                    column_types=dict(columns),
                    null_values=list(NO_VALUE),
                    strings_can_be_null=False,
                    decimal_point="," if decimal_comma else ".",
                ),
            )
        except (pa.ArrowException, UnicodeDecodeError) as error:
            if "conversion error" in str(error) and "to string" not in str(error):
                raise
            raise self._broken(str(error), first_row) from error
        if table.num_rows != text.count(b"\n"):
            raise self.damaged("a value goes on over the end of its line")
        return table

    def id_column(self) -> str:
        """The column of the ids: `id`, or the index that has no name.

        Raises:
            MissingColumnError: there is none.
        """
        for name in (ID, UNNAMED_INDEX):
            if name in self.names:
                return name
        raise self.lacks(ID, "write the file with its ids")

    def check_index(self, name: str, first: pl.Series) -> None:
        """Raise MissingColumnError where the ids, which begin with `first`, are row numbers without a name."""
        if name == UNNAMED_INDEX and first.equals(pl.Series(first.name, range(len(first))).cast(pl.String)):
            raise MissingColumnError(
                f"{self.path} has no column `{ID}`, only row numbers without a name", "write the file with its ids"
            )

    def lacks(self, column: str, remedy: str) -> MissingColumnError:
        """The error for a column that is not there, which names what is."""
        there = ", ".join(cut(name, SHOWN) for name in self.names[:6])
        more = f" and {len(self.names) - 6} more" if len(self.names) > 6 else ""
        alone = "" if self.names[1:] else "; if that is several names, separate them by commas"
        return MissingColumnError(f"{self.path} has no column `{column}`; it has {there}{more}{alone}", remedy)

    def damaged(self, reason: str) -> TruncatedFileError:
        """The error for text that cannot be read."""
        return TruncatedFileError(f"{self.path} cannot be read: {reason[:300]}", AGAIN)

    def _header(self, file: CompressedFile) -> tuple[str, str, int]:
        """The line of names, what separates them, and how many lines that took."""
        declared = None
        for lines in range(1, 100):
            line = file.first_line(MOST_HEADER_BYTES)
            found = SEPARATOR_LINE.fullmatch(line.removeprefix(b"\xef\xbb\xbf"))
            if found is not None and declared is None:
                declared = found[1].decode("latin-1")
            elif line.strip():
                text = self._text(line)
                return text, declared or _separator(text), lines
        raise self.damaged("its first 100 lines are blank")

    def _text(self, line: bytes) -> str:
        if line.startswith(UTF_16):
            raise TruncatedFileError(f"{self.path} is text in UTF-16", "save it as CSV in UTF-8")
        if b"\x00" in line:
            raise self.damaged("its first line is no text")
        for encoding in ("utf-8-sig", "cp1252"):  # the second is what Excel writes in the west
            try:
                return line.decode(encoding)
            except UnicodeDecodeError:
                continue
        raise self.damaged("its first line is no text")

    def _broken(self, reason: str, first_row: int) -> TruncatedFileError:
        """A line whose values do not fit the names; pyarrow counts the block's lines from 1."""
        if "UTF8" in reason:
            return TruncatedFileError(
                f"{self.path}: an id or era from row {first_row} on is no UTF-8", "save it as CSV in UTF-8"
            )
        found = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+): (.*)", reason)
        if found is None:
            return self.damaged(reason.splitlines()[0])
        row = f"row {first_row + int(found[1]) - 1}" if found[1] else "a row"
        return TruncatedFileError(
            f"{self.path}: {row} has {found[3]} values for {found[2]} names, beginning {cut(found[4], SHOWN)!r}",
            "write one value for each name, separated as the names are, and put quotes around a value that holds a "
            "separator",
        )


def _names(header: str, separator: str) -> list[str]:
    found = next(csv.reader([header], delimiter=separator))
    return [name.strip() or UNNAMED_INDEX for name in found]


def _separator(header: str) -> str:
    """What separates the names: the most known names decide, then the most names."""
    try:
        names = {each: _names(header, each) for each in SEPARATORS}
    except csv.Error:
        return SEPARATORS[0]  # whoever takes the names apart will say so
    return max(SEPARATORS, key=lambda each: (len(KNOWN.intersection(names[each])), len(names[each])))
