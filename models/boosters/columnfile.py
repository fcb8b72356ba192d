"""The rows of a fit in column order in a nameless file: the kernel can drop its pages, and it goes with its owner."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from eraflow.disk.atomic import storage_errors
from models.base.protocol import Codes
from models.base.rows import TrainingRows, tiles

TILE_BYTES = 8 << 20


def write_at(descriptor: int, content: bytes | memoryview, place: int) -> None:
    """Write all of it; the system may take it in several pieces."""
    left = memoryview(content)
    os.lseek(descriptor, place, os.SEEK_SET)  # pwrite is not everywhere
    while left:
        left = left[os.write(descriptor, left) :]


def column_file(rows: TrainingRows, scratch: Path | None) -> Codes:
    """int8[n, f] in column order, a read-only map of a file without a name.

    The file is written by system calls: a map of a file on a full disk would kill the process instead of failing.

    Args:
        rows: read tile by tile.
        scratch: folder of the file; the system's temporary folder when None.

    Raises:
        StorageError: the disk is full.
    """
    with storage_errors(scratch or tempfile.gettempdir()), tempfile.TemporaryFile(dir=scratch, buffering=0) as file:
        file.truncate(rows.n_rows * rows.n_features)
        for part in tiles(rows.n_rows, max(min(rows.rows_in_memory, TILE_BYTES // rows.n_features), 1)):
            for place, column in enumerate(np.ascontiguousarray(rows[part].T)):
                write_at(file.fileno(), column.data, place * rows.n_rows + part.start)
        mapped = np.memmap(file, dtype=np.int8, mode="r", shape=(rows.n_features, rows.n_rows))
        return np.asarray(mapped).T
