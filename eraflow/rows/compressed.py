"""A file that may be compressed by gzip or xz, read block after block, and how far the file itself has been read."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from eraflow.data.footer import TruncatedFileError
from eraflow.data.readable import reading

PARQUET, GZIP, XZ = b"PAR1", b"\x1f\x8b", b"\xfd7zXZ\x00"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


MOST_LINE_BYTES = 16 << 20
"""Of a line of values; one of 5,000 features has some 25,000. A compressed file of a few megabytes can hold one of any
length."""

MOST_EXPANSION, SMALL_BYTES = 200, 64 << 20
"""How many times the size of its file the content may have, and what content is small in any case: ids and predictions
are compressed to a half or a third, a table of five codes to a twentieth."""


class CompressedFile:
    """A file opened for reading from its start; use it as a context.

    Attributes:
        size: bytes of the file as it lies on disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("rb")
        self.size = path.stat().st_size
        self._content = _decompressed(self._file)
        self._content_bytes = 0

    @property
    def position(self) -> int:
        """Bytes of the file that have been read; of a compressed one, about as far as its content was asked for."""
        return self._file.tell()

    def lines(self, block: int) -> Iterator[bytes]:
        """Blocks of whole lines, each of about `block` bytes; empty lines at the end of the file are left out.

        Raises:
            TruncatedFileError: the last line has no end, or a compressed file ends too early or is damaged.
        """
        rest = b""
        while True:
            new = self._read(block)
            if not new:
                break
            cut = new.rfind(b"\n") + 1
            if cut == 0:
                rest += new
                self._check_line(rest)
                continue
            whole = rest + new[:cut]
            text = len(whole.rstrip(b"\r\n"))
            end = whole.index(b"\n", text) + 1 if text else 0
            if end:
                yield whole[:end]
            rest = whole[end:] + new[cut:]
            self._check_line(rest)
        if rest.strip(b"\r\n"):
            raise self._cut_short(
                f"its last line has no end: {rest[-40:]!r}", "; if it is whole, put a line end behind its last line"
            )

    def _read(self, count: int) -> bytes:
        with _decompressing(self._path):
            new = self._content.read(count)
        self._content_bytes += len(new)
        if self._content_bytes > MOST_EXPANSION * self.size + SMALL_BYTES:
            raise TruncatedFileError(
                f"{self._path} ({self.size} bytes) decompresses to more than {MOST_EXPANSION} times its size, which no "
                "table of numbers does",
                "write or download it again",
            )
        return new

    def _check_line(self, rest: bytes) -> None:
        if len(rest) > MOST_LINE_BYTES:
            raise TruncatedFileError(
                f"{self._path} ({self.size} bytes) has a line, or empty lines, of more than {MOST_LINE_BYTES:,} bytes",
                "write the file again, with a line for each row",
            )

    def beginning(self, count: int) -> bytes:
        """The first bytes of the content.

        Raises:
            TruncatedFileError: the file is damaged there.
        """
        with _decompressing(self._path):
            return self._content.read(count)

    def first_line(self, most: int) -> bytes:
        """The next line without its end, which may be blank.

        Raises:
            TruncatedFileError: there is none within `most` bytes, or the file is damaged.
        """
        with _decompressing(self._path):
            line = self._content.readline(most)
        if not line.endswith(b"\n"):
            if len(line) >= most:
                raise TruncatedFileError(
                    f"{self._path} ({self.size} bytes) has a first line of more than {most:,} bytes",
                    "write the file again, with a line of column names",
                )
            if b"\r" in line.strip():
                raise TruncatedFileError(
                    f"{self._path} ends its lines with CR alone", "save it with line ends LF or CR LF"
                )
            raise self._cut_short("it does not begin with a whole line of column names")
        return line.rstrip(b"\r\n")

    def _cut_short(self, reason: str, more: str = "") -> TruncatedFileError:
        return TruncatedFileError(
            f"{self._path} ({self.size} bytes) is cut short: {reason}", f"write or download it again{more}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._content.close()
        self._file.close()


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    first = file.read(len(XZ))
    file.seek(0)
    if first.startswith(GZIP):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    return lzma.LZMAFile(file) if first.startswith(XZ) else file


@contextmanager
def _decompressing(path: Path) -> Iterator[None]:
    with reading(
        path,
        lambda reason: TruncatedFileError(
            f"{path} cannot be read, as it cannot be decompressed: {reason}", "compress or download it again"
        ),
    ):
        yield
