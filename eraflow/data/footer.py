"""What a parquet file of the tournament says about itself in its footer, read before any of its data."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from eraflow.data.footerparts import MAGIC, WalkedFooter, walk_if_large
from eraflow.data.readable import MissingFileError as MissingFileError
from eraflow.data.readable import reading, require_file
from eraflow.disk.plainpaths import scan_parquet
from eraflow.errors import EraflowError
from eraflow.foreigntext import cut

NAMES_SHOWN = 8
_AGAIN = "write or download it again"
_OF_COLUMNS = (
    ("more than one occurrence", "write each column once"),
    ("precision must be between", "write its numbers as floats, or as decimals of at most 38 digits"),
)
"""What polars and arrow say of whole files whose columns they cannot take, and what helps."""
ID = "id"
ERA = "era"
DATA_TYPE = "data_type"
UNNAMED_INDEX = "__index_level_0__"
NUMBERS_WANTED = "write features as int8; any other type of whole numbers will do, floats and decimals too"
HIGHEST_CODE = 4
"""Features are five equal bins, 0 to 4."""


class TruncatedFileError(EraflowError):
    """A parquet file is cut short or damaged. Download it again."""

    code = "truncated_file"


class MissingColumnError(EraflowError):
    """A parquet file lacks a column that the work needs."""

    code = "missing_column"


class FeatureTypeError(EraflowError):
    """A feature is of a type that holds no numbers."""

    code = "feature_type"


class ColumnTypeError(EraflowError):
    """A column is of a type that cannot hold what it should (lists for ids, dates for numbers), or is there twice."""

    code = "column_type"


class BadFeatureValueError(EraflowError):
    """A feature holds a value other than 0, 1, 2, 3, 4 or missing."""

    code = "feature_value"


@dataclass(frozen=True)
class Footer:
    """The footer of one parquet file.

    Attributes:
        path: the file.
        rows: number of rows.
        group_rows: rows of each row group, in file order.
        types: arrow type of each column.
        id_column: name of the column that holds the id (also when pandas regards it as the index), or None.
        metadata: what pyarrow makes of it; None for a large footer, of which only parts are held at a time.
        walked: where the row groups of a large footer lie; None for another.
    """

    path: Path
    rows: int
    group_rows: tuple[int, ...]
    types: dict[str, pa.DataType]
    id_column: str | None
    metadata: Any | None = field(repr=False, compare=False)
    walked: WalkedFooter | None = field(default=None, repr=False, compare=False)

    @property
    def chunks(self) -> int:
        """Pieces that the file is cut into: columns times row groups."""
        return len(self.types) * len(self.group_rows)

    def require(self, columns: Sequence[str]) -> None:
        """Raise MissingColumnError unless every one of `columns` is in the file."""
        absent = [name for name in columns if name not in self.types]
        if absent:
            raise MissingColumnError(
                f"{self.path} has no column {_listed(absent)}", "use files of one data version, or download it again"
            )

    def require_id(self) -> str:
        """The name of the id column; MissingColumnError when there is none."""
        if self.id_column is None:
            raise MissingColumnError(
                f"{self.path} has no `id`, neither as a column nor as the index", "write the file with its ids"
            )
        return self.id_column

    def read(self, columns: Mapping[str, Any]) -> pl.DataFrame:
        """Some columns of all rows, each as the polars type given for it.

        Raises:
            ColumnTypeError: a column cannot be read as that type, whatever it holds.
            TruncatedFileError: the bytes cannot be decoded.
        """
        for name, kind in columns.items():
            if not _fits(self.types[name], kind):
                raise column_type(self.path, name, self.types[name], "text" if kind == pl.String else "numbers")
        wanted = [pl.col(name).cast(kind) for name, kind in columns.items()]
        with decoding(self.path):
            if self.metadata is not None:
                return self.scan().select(wanted).collect()
            return pl.concat(_read_part(self.path, part, list(columns)).select(wanted) for part in self.parts())

    def parts(self) -> Iterator[Any]:
        """pyarrow's metadata of the row groups: of all together, or of some after others where the footer is large."""
        if self.walked is None:
            yield self.metadata
        else:
            yield from metadata_parts(self.path, self.walked)

    def scan(self) -> pl.LazyFrame:
        """A lazy frame whose parsed footer is kept, so that many small reads do not parse it again each time."""
        with decoding(self.path):
            frame = scan_parquet(self.path)
            frame.collect_schema()
        return frame


def read_footer(path: Path | str) -> Footer:
    """Read the footer of a parquet file.

    Raises:
        MissingFileError: the file is not there.
        UnreadableFileError, StageOutOfMemory: the system does not let us read it.
        TruncatedFileError: it has no readable footer, or the footer points beyond the end of the file.
    """
    path = Path(path)
    size = require_file(path).st_size

    def damaged(reason: str) -> TruncatedFileError:
        return TruncatedFileError(f"{path} ({size} bytes) is not a whole parquet file: {reason}", _AGAIN)

    with reading(path, damaged):
        walked = walk_if_large(path)
        whole = pq.read_metadata(path) if walked is None else None
        groups: list[int] = []
        parts: Iterable[Any] = [whole] if walked is None else metadata_parts(path, walked)
        for metadata in parts:
            schema = metadata.schema.to_arrow_schema()
            _check_extent(path, metadata)
            groups += [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        id_column = _id_column(schema)
    types = {name: schema.field(position).type for position, name in enumerate(schema.names)}
    return Footer(path, sum(groups), tuple(groups), types, id_column, whole, walked)


def metadata_parts(path: Path, walked: WalkedFooter) -> Iterator[Any]:
    """pyarrow's metadata of some row groups after others."""
    with path.open("rb") as file:
        for first, stop in walked.spans():
            yield pq.read_metadata(io.BytesIO(MAGIC + walked.part(file, first, stop)))


def _read_part(path: Path, part: Any, names: Sequence[str]) -> pl.DataFrame:
    table = pq.ParquetFile(path, metadata=part).read(columns=list(names), use_threads=False)
    return pl.DataFrame({name: pl.from_arrow(_plain(table.column(name))) for name in names})


def _plain(column: Any) -> Any:
    """Text that pandas held as categories, as text."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Name every failure to decode `path`: what polars and arrow raise there means damaged bytes, unless the system or
    a lack of memory is behind it, or a column that they do not take.
    """

    def undecodable(reason: str) -> EraflowError:
        remedy = next((remedy for words, remedy in _OF_COLUMNS if words in reason), None)
        kind = TruncatedFileError if remedy is None else ColumnTypeError
        return kind(f"{path} cannot be decoded: {reason}", remedy or _AGAIN)

    with reading(path, undecodable):
        yield


def footer_extremes(footer: Footer, columns: Sequence[str]) -> Iterator[tuple[str, int, float, float]]:
    """Yield (column, row group, minimum, maximum) where the footer states them."""
    first = 0
    for metadata in footer.parts():
        for name, group, low, high in _extremes(metadata, set(columns)):
            yield name, first + group, low, high
        first += metadata.num_row_groups


def _extremes(metadata: Any, wanted: Collection[str]) -> Iterator[tuple[str, int, float, float]]:
    if metadata.num_row_groups == 0:
        return
    row_group = metadata.row_group(0)
    places = [(i, row_group.column(i).path_in_schema) for i in range(metadata.num_columns)]
    chosen = [(position, name) for position, name in places if name in wanted]
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for position, name in chosen:
            bounds = _bounds(row_group.column(position).statistics)
            if bounds is not None:
                yield name, group, *bounds


def _bounds(statistics: Any) -> tuple[float, float] | None:
    """Minimum and maximum where they are numbers; those of half floats, for one, come as bytes and say nothing."""
    if statistics is None or not statistics.has_min_max:
        return None
    bounds = statistics.min, statistics.max
    return bounds if all(isinstance(bound, int | float | Decimal) for bound in bounds) else None


def column_type(path: Path, name: str, found: object, wanted: str) -> ColumnTypeError:
    """The error for a column of a type that cannot hold what is `wanted` there."""
    return ColumnTypeError(f"{path}: {cut(name, 80)} has type {cut(found, 80)}", f"write {wanted} into that column")


def check_feature_types(footer: Footer, features: Sequence[str]) -> None:
    """Raise FeatureTypeError unless each feature is a number of any kind, or missing throughout."""
    wrong = [name for name in features if not _is_number(footer.types[name])]
    if wrong:
        raise FeatureTypeError(
            f"{footer.path}: feature {cut(wrong[0], 80)} has type {footer.types[wrong[0]]}"
            + (f" (and {len(wrong) - 1} more)" if wrong[1:] else ""),
            NUMBERS_WANTED,
        )


def _check_extent(path: Path, metadata: Any) -> None:
    size = path.stat().st_size
    for group in range(metadata.num_row_groups if metadata.num_columns else 0):
        chunk = metadata.row_group(group).column(metadata.num_columns - 1)
        end = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size
        if end > size:
            raise pa.ArrowInvalid(f"row group {group} ends at byte {end}")


def _id_column(schema: pa.Schema) -> str | None:
    if ID in schema.names:
        return ID
    # A pandas index without a name is taken for the ids only when it holds text: row numbers are no ids.
    unnamed = UNNAMED_INDEX in schema.names and is_text(schema.field(UNNAMED_INDEX).type)
    return UNNAMED_INDEX if unnamed else None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(cut(name, 80) for name in names[:NAMES_SHOWN]) + more


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return any(test(kind) for test in tests)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, as it is, as bytes or as categories."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary)
    return any(test(kind) for test in (*tests, pa.types.is_large_binary, pa.types.is_binary_view))


def _fits(found: pa.DataType, wanted: Any) -> bool:
    """Whether a column may be read as text or as numbers."""
    if wanted == pl.String:
        return not pa.types.is_nested(found)
    values = found.value_type if pa.types.is_dictionary(found) else found
    return wanted != pl.Float64 or _is_number(values) or is_text(values)
