"""The weights of a network as plain arrays in one file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.float32]]


def to_bytes(weights: Arrays) -> bytes:
    """The arrays one after the other in NumPy's own format; an npz would hold the time of day."""
    buffer = io.BytesIO()
    for array in weights.values():
        np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_arrays(path: Path, names: Sequence[str]) -> Arrays:
    """The arrays of a file that holds those of `to_bytes`, under their names."""
    with path.open("rb") as file:
        return {name: np.load(file, allow_pickle=False) for name in names}
