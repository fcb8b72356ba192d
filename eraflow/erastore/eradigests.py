"""A digest of the features of each era, taken while the matrix is written, and the digest of what a fit is given.

Two weeks' stores hold the same eras in other files. What has been learnt from some of them is still good when these
eras are the same, bit by bit; to hash gigabytes at each fit in order to know that would cost more than is saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, BinaryIO

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


def rows_digest(store: EraStore, eras: Sequence[str], columns: Sequence[str]) -> str | None:
    """sha256 over the rows of `eras`: ids, features and some columns; None: the store was written without digests.

    Features are known by the digests of the eras and the names of the columns of the matrix; the rest is read.
    """
    known = store.digests
    if known is None:
        return None
    digest = hashlib.sha256(value_sha256([list(store.features), [[era, known[era]] for era in eras]]).encode())
    digest.update(store.offsets(eras).tobytes())
    for values in (store.ids(eras), *(store.column(name, eras) for name in columns)):
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
