"""Features that are decoded by columns and wanted by eras: turned round on disk, not in memory.

A row group of a million rows may hold each column in one page, and then every slice of rows decompresses the whole
group. So some hundred eras are decoded a few columns at a time and written to a file without a name, which the system
removes with the process, however that ends.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from eraflow.disk.atomic import storage_errors


class Spool:
    """The features of neighbouring eras; use it as a context.

    Args:
        folder: on whose disk.
        features: how many there are.
        sizes: rows of each era.

    Raises:
        StorageError: the disk is full or cannot be written.
    """

    def __init__(self, folder: Path, features: int, sizes: Sequence[int]) -> None:
        self._folder, self._features, self._sizes = folder, features, list(sizes)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes, dtype=np.int64)]).tolist()
        self._blocks: list[tuple[int, int]] = []
        with storage_errors(folder):
            self._file = tempfile.TemporaryFile(dir=folder, prefix=".eraflow-spool-")  # noqa: SIM115 - see __exit__

    def put(self, column: int, codes: npt.NDArray[np.int8]) -> None:
        """Write some columns, int8[all rows, w], the first of them being `column`; blocks come in order."""
        self._blocks.append((column, codes.shape[1]))
        with storage_errors(self._folder):
            for start, size in zip(self._starts, self._sizes, strict=False):
                self._file.seek(start * self._features + size * column)
                self._file.write(np.ascontiguousarray(codes[start : start + size]).data)

    def era(self, number: int) -> npt.NDArray[np.int8]:
        """int8[rows of the era, features]."""
        size = self._sizes[number]
        codes = np.empty((size, self._features), dtype=np.int8)
        self._file.seek(self._starts[number] * self._features)
        for column, width in self._blocks:
            content = self._file.read(size * width)
            codes[:, column : column + width] = np.frombuffer(content, dtype=np.int8).reshape(size, width)
        return codes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def room(folder: Path) -> int:
    """Bytes that are free on the disk of a folder."""
    return shutil.disk_usage(folder).free
