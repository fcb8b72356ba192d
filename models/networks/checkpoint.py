"""Where a training of a neural model stands after an epoch, on disk."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_bytes
from models.networks.torchlibrary import torch_library

FILE = "checkpoint.pt"


class Checkpoint:
    """The newest checkpoint of one fit, whole or not there.

    Args:
        folder: a place that belongs to this fit alone; None keeps nothing.
        key: names what must be the same for the training to go on; a checkpoint under another key is not used.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._path = None if folder is None else Path(folder) / FILE
        self._key = key

    def save(self, content: Mapping[str, Any]) -> None:
        """Replace the checkpoint; `content` holds tensors, numbers, text and containers of these.

        Raises:
            StorageError: it cannot be written.
        """
        if self._path is None:
            return
        buffer = io.BytesIO()  # torch's own writer does not say that the disk is full
        torch_library().save({"key": self._key, **content}, buffer)
        write_bytes(self._path, buffer.getvalue())

    def load(self) -> dict[str, Any] | None:
        """What was saved last under this key, tensors on the CPU; None when there is nothing of use."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            content = torch_library().load(self._path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None  # damaged: the training begins anew, and the next epoch replaces it
        return content if isinstance(content, dict) and content.get("key") == self._key else None
