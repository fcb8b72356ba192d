"""Where the training of a network stands, on disk, in two slots: the last checkpoint, and that with the best loss."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from eraflow.disk.atomic import write_bytes

LAST, BEST = "last.pt", "best.pt"
DIGEST_BYTES = 32
SECONDS_BETWEEN = 60.0
"""Within an epoch a checkpoint is written after this time; what a kill costs is bounded by it, whatever the data."""


class Checkpoints:
    """The checkpoints of one fit. A file appears whole or not at all, behind its sha256; a damaged one is passed over.

    Args:
        folder: a place that belongs to this fit alone; None keeps nothing.
        key: names what must be the same for the training to go on; a checkpoint under another key is not used.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder = None if folder is None else Path(folder)
        self._key = key
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is old."""
        return self._folder is not None and time.monotonic() - self._saved >= SECONDS_BETWEEN

    def save(self, content: Mapping[str, Any], *, best: bool = False) -> None:
        """Replace the last checkpoint and, when this is the best so far, that one.

        Args:
            content: tensors, numbers, text and containers of these.
            best: whether it is.

        Raises:
            StorageError: it cannot be written.
        """
        if self._folder is None:
            return
        buffer = io.BytesIO()  # torch's own writer does not say that the disk is full
        torch.save({"key": self._key, **content}, buffer)
        whole = hashlib.sha256(buffer.getbuffer()).digest() + buffer.getvalue()
        for name in (BEST, LAST) if best else (LAST,):
            write_bytes(self._folder / name, whole)
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """What was saved last under this key, tensors on the CPU, or else the best; None: nothing of use is there."""
        if self._folder is None:
            return None
        found = (_read(self._folder / name, self._key) for name in (LAST, BEST))
        return next((content for content in found if content is not None), None)


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """A checkpoint that is whole and of this key. torch itself would read tensors whose bytes have changed."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None  # missing, or not readable: the training goes back further, and the next one replaces it
    digest, content = whole[:DIGEST_BYTES], whole[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    found: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return found if found["key"] == key else None
