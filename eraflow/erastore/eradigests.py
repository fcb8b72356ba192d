"""A digest of the features of each era, taken while the matrix is written, and the digest of what a fit is given.

Two weeks' stores hold the same eras in other files. What has been learnt from some of them is still good when these
eras are the same, bit by bit; to hash gigabytes at each fit in order to know that would cost more than is saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from eraflow.disk.digest import value_sha256
from eraflow.erastore.erareader import EraStore


class HashedRows:
    """Passes rows on to a file and hashes them by era, wherever the blocks are cut.

    Attributes:
        digests: sha256 of the eras that are complete, in order.
    """

    def __init__(self, handle: BinaryIO, era_bytes: Sequence[int]) -> None:
        self._handle, self._coming, self._hash = handle, list(reversed(era_bytes)), hashlib.sha256()
        self.digests: list[str] = []
        self._left = self._next_era()

    @property
    def name(self) -> str:
        """Of the file."""
        return self._handle.name

    def write(self, data: Any) -> None:
        """Append whole values, int8, in the order of the rows."""
        self._handle.write(data)
        view = memoryview(data)
        rest = view.cast("B") if view.nbytes else memoryview(b"")
        while len(rest):
            part, rest = rest[: self._left], rest[self._left :]
            self._hash.update(part)
            self._left -= len(part)
            if self._left == 0:
                self.digests.append(self._hash.hexdigest())
                self._left = self._next_era()

    def _next_era(self) -> int:
        self._hash = hashlib.sha256()
        while self._coming:
            if (size := self._coming.pop()) > 0:
                return size
            self.digests.append(self._hash.hexdigest())
        return 0


def rows_digest(store: EraStore, eras: Sequence[str], columns: Sequence[str], *, ids: bool = False) -> str | None:
    """sha256 over the rows of `eras`: features and some columns; None: the store was written without digests.

    Features are known by the digests of the eras and the names of the columns of the matrix; the rest is read.

    Args:
        store: the data.
        eras: of the store, in order.
        columns: targets, benchmarks and the like.
        ids: with the ids of the rows, which 64 bytes a row in memory pay for; who only learns from rows does not see
            them.
    """
    known = store.digests
    if known is None:
        return None
    digest = hashlib.sha256(value_sha256([list(store.features), [[era, known[era]] for era in eras]]).encode())
    _add(digest, store.offsets(eras))
    for name in columns:
        _add(digest, store.column(name, eras))
    if ids:
        _add(digest, store.ids(eras))
    return digest.hexdigest()


def _add(digest: Any, values: npt.NDArray[Any]) -> None:
    """An array by its type, shape and bytes, without a copy."""
    digest.update(f"{values.dtype.str}{values.shape}".encode())
    digest.update(np.ascontiguousarray(values).view(np.uint8).data)
