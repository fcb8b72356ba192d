"""The encoder of a window: from the features of a row to its code, in five levels, by NumPy alone."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from eraflow.disk.atomic import write_bytes, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.machine.failures import StageNaN
from models.base.protocol import Codes, DamagedModelError
from models.base.rows import LEVELS, tiles
from models.compression.vaearrays import code_levels, means_of_codes
from models.networks.blocks import BLOCK_ROWS, in_block
from models.networks.weightfile import Arrays, read_arrays, to_bytes

FILE, DESCRIPTION = "encoder.npy", "encoder.json"
CUTS = "cuts"
"""Name of the array of bounds beside the weights."""


@dataclass(frozen=True)
class Encoder:
    """What turns features into codes.

    The mean of each unit of the code is cut into five levels, equally often in the rows that it was learnt from. A unit
    that tells nothing (it is not active) has the middle level everywhere, like a feature that is missing.

    Attributes:
        weights: float32 arrays by name, those of `vaearrays.of_encoder`.
        cuts: float32[c, 4], ascending in each row: the bounds between the levels of a unit.
        active: which units tell something.
        n_features: columns of the features.
    """

    weights: Arrays
    cuts: npt.NDArray[np.float32]
    active: tuple[bool, ...]
    n_features: int

    @property
    def size(self) -> int:
        """How many columns the code has."""
        return len(self.cuts)

    def codes(self, x: Codes, *, threads: int = 1) -> Codes:
        """int8[n, c], levels 0 to 4: the code of each row.

        Blocks of one size, each computed by one thread: a row's code does not depend on its neighbours, the tiles or
        the threads.

        Args:
            x: int8[n, f]; it may be a view of a file.
            threads: to compute with.

        Raises:
            DamagedModelError: x has another number of features.
            StageNaN: a code is not finite.
        """
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise DamagedModelError(
                f"an encoder of {self.n_features} features was given x{list(x.shape)}",
                "pass exactly the features that it was fitted on",
            )
        result = np.empty((len(x), self.size), dtype=np.int8)

        def block(rows: slice) -> None:
            result[rows] = self.levels(self._means(x[rows]))

        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(block, tiles(len(x), BLOCK_ROWS)):
                pass
        return result

    def levels(self, means: npt.NDArray[np.float32]) -> Codes:
        """int8[n, c]: the levels of the means of units, float32[n, c].

        Raises:
            StageNaN: one is not finite.
        """
        if not np.isfinite(means).all():
            raise StageNaN("the encoder returned NaN values", "lower data.code_beta or data.code_size")
        return code_levels(means, self.cuts, np.array(self.active))

    @cached_property
    def signature(self) -> str:
        """What it is, as one hash."""
        return value_sha256(self._description(to_bytes(self._arrays())))

    def save(self, folder: Path) -> None:
        """Write the arrays and, last, what they are; the same encoder gives the same bytes."""
        content = to_bytes(self._arrays())
        write_bytes(Path(folder) / FILE, content)
        write_json(Path(folder) / DESCRIPTION, self._description(content))

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """Read what `save` wrote.

        Raises:
            DamagedModelError: a file is missing or changed.
        """
        path = Path(folder) / FILE
        try:
            told = json.loads((Path(folder) / DESCRIPTION).read_text(encoding="utf-8"))
            if file_sha256(path) != told["sha256"]:
                raise ValueError(f"{FILE} is not what {DESCRIPTION} describes")
            arrays = read_arrays(path, told["arrays"])
            cuts, active = arrays.pop(CUTS), tuple(map(bool, told["active"]))
            return cls(arrays, cuts, active, int(told["n_features"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedModelError(f"the encoder in {folder} cannot be read: {error}", "train it again") from error

    def _means(self, codes: Codes) -> npt.NDArray[np.float32]:
        """float32[m, c] of up to BLOCK_ROWS rows, which are filled up to that many."""
        return in_block(means_of_codes, self.weights, codes)

    def _arrays(self) -> Arrays:
        return {**self.weights, CUTS: self.cuts}

    def _description(self, content: bytes) -> dict[str, Any]:
        return {
            "n_features": self.n_features,
            "active": list(self.active),
            "arrays": list(self._arrays()),
            "sha256": hashlib.sha256(content).hexdigest(),
        }


def cuts_of(means: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """float32[c, 4]: the bounds that cut each column of float32[n, c] into five levels of equal size."""
    shares = np.arange(1, LEVELS) / LEVELS
    return np.ascontiguousarray(np.quantile(means, shares, axis=0).T, dtype=np.float32)
