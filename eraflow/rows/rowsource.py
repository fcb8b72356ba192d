"""The rows of a file in its own order, a tile of one era at a time: what a prediction reads, whatever the file's form.

Parquet (`eraflow.rows.parquetrows`, in parts by `eraflow.rows.parquetparts`) and CSV, plain or packed by gzip or xz
(`eraflow.rows.csvrows`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.data.eraindex import NullIdError, check_era_order, checked_era
from eraflow.data.eralabels import era_label
from eraflow.data.eras import LIVE_ERA
from eraflow.data.footer import TruncatedFileError
from eraflow.data.readable import reading, require_file
from eraflow.errors import EraflowError

PARQUET, GZIP, XZ = b"PAR1", b"\x1f\x8b", b"\xfd7zXZ\x00"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
OTHER_FORMS = (
    (b"PARE", "encrypted parquet", "write it without encryption"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    (b"BZh", "packed by bzip2", "unpack it with bunzip2, or pack it by gzip or xz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "unpack it with unzstd, or pack it by gzip or xz"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"ARROW1", "an Arrow or Feather file", "write it as parquet or CSV"),
    (b"\x89HDF", "HDF5", "write it as parquet or CSV"),
    (b"\x80\x04", "a pickle", "write it as parquet or CSV"),
    (b"\x80\x05", "a pickle", "write it as parquet or CSV"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet", "save the sheet as CSV"),
    (b"<", "HTML or XML", "look into it: a server's error page is sometimes saved in place of a file"),
    (b"{", "JSON", "write it as parquet or CSV"),
    (b"[", "JSON", "write it as parquet or CSV"),
)
"""How other files begin, what they are, and what to do with them."""
LOOKED_AT = 4096
"""Bytes of the beginning by which a file is known."""
END_BYTES = 1 << 20
"""What of a file's beginning and end is hashed to know it again."""


class UnknownFormError(EraflowError):
    """A file is neither parquet nor a CSV that can be read. Unpack it, or write it as one of these."""

    code = "unknown_form"


@dataclass(frozen=True)
class Tile:
    """Neighbouring rows of one era.

    Attributes:
        era: their label.
        ids: of each row, polars String, none missing.
        codes: int8[n, f], 0 to 4, in the order of the features asked for.
        done: how far the file is read after it, in rows (parquet) or bytes of the file as it lies on disk (CSV).
        total: all of it, in the same unit.
    """

    era: str
    ids: pl.Series
    codes: npt.NDArray[np.int8]
    done: int
    total: int


class RowSource(Protocol):
    """A file of rows.

    Attributes:
        path: the file.
        columns: the names of its columns.
        unit: of `Tile.done`, for people.
    """

    path: Path
    unit: str

    @property
    def columns(self) -> Collection[str]:
        """Names of the columns."""

    def tiles(
        self, features: Sequence[str], *, most_rows: int, skip: int = 0, scratch: Path | None = None
    ) -> Iterator[Tile]:
        """Read the rows in order.

        Args:
            features: the columns to be decoded, all of them present.
            most_rows: of a tile.
            skip: rows at the beginning to be left out; an era begins after them.
            scratch: folder on whose disk rows may be turned round; None: in memory only, whatever it takes.

        Raises:
            BadFeatureValueError, FeatureTypeError, MissingColumnError, NullIdError, NullEraError, BadEraError,
            UnorderedErasError: the rows are not what they should be.
            TruncatedFileError: the bytes cannot be decoded.
        """


def open_rows(path: Path | str) -> RowSource:
    """The reader that fits a file; see `form_of`.

    Raises:
        MissingFileError, UnreadableFileError, TruncatedFileError, MissingColumnError, UnknownFormError.
    """
    from eraflow.rows.csvrows import CsvRows  # pyarrow's CSV reader is not loaded for parquet
    from eraflow.rows.parquetparts import parquet_source

    path = Path(path)
    return parquet_source(path) if form_of(path) == "parquet" else CsvRows(path)


def form_of(path: Path) -> Literal["parquet", "csv"]:
    """What a file is by its content, whatever its name; a CSV may be packed by gzip or xz.

    Raises:
        MissingFileError, UnreadableFileError: it is not there, or the system does not let it be read.
        TruncatedFileError: it is empty.
        UnknownFormError: it is something else, which the error names where that is known.
    """
    require_file(path, "name a parquet or CSV file")
    with reading(path, lambda reason: TruncatedFileError(f"{path} cannot be read: {reason}", "look at the disk")):
        first = _beginning(path)
    if not first:
        raise TruncatedFileError(f"{path} cannot be read: it is empty", "write or download it again")
    if first.startswith(PARQUET):
        return "parquet"
    if first.startswith((GZIP, XZ)):
        _check_packed(path)
        return "csv"
    for magic, what, remedy in OTHER_FORMS:
        if first.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(magic.lower()):
            raise UnknownFormError(f"{path} is neither parquet nor CSV, but {what}", remedy)
    if b"\x00" in first and not first.startswith(UTF_16):
        raise UnknownFormError(f"{path} is neither parquet nor text", "write it as parquet or CSV")
    return "csv"


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LOOKED_AT)


def _check_packed(path: Path) -> None:
    """Raise UnknownFormError where what is packed is no text; damage is for the reader to name."""
    from eraflow.rows.compressed import Packed

    try:
        with Packed(path) as file:
            inside = file.beginning(len(PARQUET))
    except TruncatedFileError:
        return
    if inside == PARQUET:
        raise UnknownFormError(f"{path} is a parquet file packed by gzip or xz", "unpack it with gunzip or unxz")


def file_identity(path: Path) -> dict[str, Any]:
    """What tells a file from another of the same name: size, time of change, and a hash of its two ends."""
    about = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(END_BYTES))
        file.seek(max(0, about.st_size - END_BYTES))
        digest.update(file.read(END_BYTES))
    return {"size": about.st_size, "changed_ns": about.st_mtime_ns, "ends_sha256": digest.hexdigest()}


class EraSequence:
    """The eras met so far; refuses labels that are none, and an order that does not rise."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._eras: list[str] = []

    def add(self, era: str | None, row: int) -> str:
        """Take the label of `row` and what follows it; the same as the last one goes on with that era.

        Raises:
            NullEraError, BadEraError, UnorderedErasError.
        """
        label = era_label(era)
        if self._eras and label == self._eras[-1]:
            return self._eras[-1]
        era = checked_era(label, row, self._path)
        rises = not self._eras or (self._eras[-1] != LIVE_ERA and (era == LIVE_ERA or int(era) > int(self._eras[-1])))
        self._eras.append(era)
        if not rises:
            check_era_order(self._eras, str(self._path))
        return era


def check_ids(ids: pl.Series, path: Path, start: int) -> pl.Series:
    """`ids` as text; NullIdError where one is missing, `start` being the row of the first."""
    missing = ids.is_null() | (ids == "")
    if missing.any():
        row = start + int(missing.arg_max() or 0)
        raise NullIdError(f"row {row} of {path} has no id", "write the id of each row into the file")
    return ids
