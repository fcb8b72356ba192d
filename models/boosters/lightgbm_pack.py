"""LightGBM's binary file of a dataset, written straight from five-level codes: no value is pushed one at a time.

The library's own ways (rows, Arrow columns) turn each value into a double and search its bin: 27 to 50 ns of CPU a
value. Five levels need no search; two of them lie in one byte of the file, so a tile is packed and turned by NumPy.

Nothing about the file is taken for granted. The library itself writes the file of a small dataset, which gives the
parts that do not depend on the rows, and the file of another one, which this module must reproduce to the last byte.
Otherwise (another version, fewer bins than levels, linear trees) `FileLayout.learn` gives None, and the library has to
do it.

The layout, as LightGBM 4.7 writes it (Dataset::SaveBinaryToFile): a token; a header that begins with the number of
rows; labels and their number; then for each feature its bins' bounds and the codes, four bits each, the even row in the
low half. Every part is preceded by its size and filled up to eight bytes.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from models.base.protocol import Codes
from models.base.rows import LEVELS, TrainingRows, level_matrix, tiles
from models.boosters.columnfile import TILE_BYTES, write_at

TOKEN = b"______LightGBM_Binary_File_Token______\n\0"
SIZE = struct.Struct("<Q")
COUNT = struct.Struct("<i")
ALIGN = 8
LABEL_BYTES = 4
CHECK_ROWS = 1003  # odd, so that a byte is half filled


def _filled(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _packed_bytes(rows: int) -> int:
    return _filled(-(-rows // 2))


@dataclass(frozen=True)
class FileLayout:
    """The parts of a file that do not depend on the rows.

    Attributes:
        header: of the dataset, without its leading number of rows.
        metadata: what precedes the labels, without its leading number of rows.
        groups: what precedes the codes of a feature, one for each, in the order of the file.
        order: the column whose codes follow there; the library shuffles them.
    """

    header: bytes
    metadata: bytes
    groups: tuple[bytes, ...]
    order: tuple[int, ...]

    @classmethod
    def learn(cls, n_features: int, settings: Mapping[str, Any], scratch: Path | None) -> FileLayout | None:
        """The layout of a dataset with these settings, or None when the library writes something else.

        Args:
            n_features: columns.
            settings: LightGBM's parameters.
            scratch: folder for two small files; the system's temporary folder when None.
        """
        levels = level_matrix(n_features)
        other = np.random.default_rng(0).integers(0, LEVELS, (CHECK_ROWS, n_features), dtype=np.int8)
        reference = _constructed(levels, settings, None)
        with tempfile.TemporaryDirectory(prefix="lightgbm-", dir=scratch) as folder:
            template = _written(reference, Path(folder) / "template")
            expected = _written(_constructed(other, settings, reference), Path(folder) / "expected")
            try:
                layout = cls._of(template, len(levels), _order(expected, other))
            except (struct.error, KeyError):  # it cannot be taken apart like that
                return None
            layout.write(Path(folder) / "mine", TrainingRows(other, np.zeros(CHECK_ROWS), CHECK_ROWS))
            return layout if (Path(folder) / "mine").read_bytes() == expected else None

    @classmethod
    def _of(cls, content: bytes, rows: int, order: tuple[int, ...]) -> FileLayout:
        """Take the file of so many rows apart."""
        header, metadata, *groups = _parts(content, len(order))
        labels, codes = _filled(LABEL_BYTES * rows), _packed_bytes(rows)
        fixed = tuple(group[:-codes] for group in groups)
        return cls(header[SIZE.size :], metadata[COUNT.size : len(metadata) - labels], fixed, order)

    def size(self, rows: int) -> int:
        """Bytes of the file of so many rows."""
        return len(self._head(rows)) + sum(SIZE.size + len(group) + _packed_bytes(rows) for group in self.groups)

    def _head(self, rows: int) -> bytes:
        header = SIZE.pack(rows) + self.header
        labels = bytes(LABEL_BYTES * rows)
        metadata = COUNT.pack(rows) + self.metadata + labels
        metadata += bytes(_filled(len(metadata)) - len(metadata))
        return TOKEN + SIZE.pack(len(header)) + header + SIZE.pack(len(metadata)) + metadata

    def write(self, path: Path, rows: TrainingRows) -> None:
        """Write the file of some rows, with labels of zero.

        Memory: a tile of at most 8 MiB, and as much again for its packed and turned copies.

        Args:
            path: of the new file.
            rows: what is read, tile by tile.

        Raises:
            OSError: the disk is full, for example.
        """
        packed = _packed_bytes(rows.n_rows)
        with path.open("wb", buffering=0) as file:
            descriptor = file.fileno()
            file.truncate(self.size(rows.n_rows))
            head = self._head(rows.n_rows)
            write_at(descriptor, head, 0)
            starts, place = [], len(head)
            for group in self.groups:
                write_at(descriptor, SIZE.pack(len(group) + packed) + group, place)
                starts.append(place + SIZE.size + len(group))
                place = starts[-1] + packed
            for part in tiles(rows.n_rows, _tile_rows(rows)):
                columns = pack(rows[part])
                for start, column in zip(starts, self.order, strict=True):
                    write_at(descriptor, columns[column].data, start + part.start // 2)


def pack(tile: Codes) -> npt.NDArray[np.uint8]:
    """uint8[f, ceil(m / 2)]: two codes a byte, column by column, of a tile int8[m, f]; the even row in the low half."""
    codes = tile.view(np.uint8)
    packed = codes[::2].copy()
    odd = codes[1::2]
    packed[: len(odd)] |= odd << 4
    return np.ascontiguousarray(packed.T)


def _tile_rows(rows: TrainingRows) -> int:
    most = min(rows.rows_in_memory, TILE_BYTES // rows.n_features)
    return max(most - most % 2, 2)


def _parts(content: bytes, n_features: int) -> list[bytes]:
    """Header, metadata and the features of a file; each begins with its size."""
    parts, place = [], len(TOKEN)
    for _ in range(2 + n_features):
        (size,) = SIZE.unpack_from(content, place)
        place += SIZE.size
        parts.append(content[place : place + size])
        place += size
    return parts


def _order(content: bytes, codes: Codes) -> tuple[int, ...]:
    """Which column of the codes each feature of their file holds; a KeyError when one holds none of them."""
    packed = _packed_bytes(len(codes))
    column_of = {column.tobytes().ljust(packed, b"\0"): place for place, column in enumerate(pack(codes))}
    return tuple(column_of[group[-packed:]] for group in _parts(content, codes.shape[1])[2:])


def _constructed(codes: Codes, settings: Mapping[str, Any], reference: Any) -> Any:
    label = np.zeros(len(codes), dtype=np.float32)
    return lgb.Dataset(codes, label=label, reference=reference, params=dict(settings)).construct()


def _written(dataset: Any, path: Path) -> bytes:
    dataset.save_binary(str(path))
    return path.read_bytes()
