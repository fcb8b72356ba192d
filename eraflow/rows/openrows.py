"""The reader that fits a file: what a file is, is told by its first bytes, never by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from eraflow.data.footer import TruncatedFileError
from eraflow.data.readable import reading, require_file
from eraflow.errors import EraflowError
from eraflow.rows.compressed import GZIP, PARQUET, UTF_16, XZ, CompressedFile
from eraflow.rows.rowsource import RowSource

OTHER_FORMS = (
    (b"PARE", "encrypted parquet", "write it without encryption"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    (b"BZh", "compressed by bzip2", "decompress it with bunzip2, or compress it by gzip or xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "decompress it with unzstd, or compress it by gzip or xz"),
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


class UnknownFormError(EraflowError):
    """A file is neither parquet nor a CSV that can be read. Unpack it, or write it as one of these."""

    code = "unknown_form"


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
    """What a file is by its content, whatever its name; a CSV may be compressed by gzip or xz.

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
        _check_compressed(path)
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


def _check_compressed(path: Path) -> None:
    """Raise UnknownFormError where what is compressed is no text; damage is for the reader to name."""
    try:
        with CompressedFile(path) as file:
            inside = file.beginning(len(PARQUET))
    except TruncatedFileError:
        return
    if inside == PARQUET:
        raise UnknownFormError(
            f"{path} is a parquet file compressed by gzip or xz", "decompress it with gunzip or unxz"
        )
