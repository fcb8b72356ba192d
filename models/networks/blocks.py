"""Rows in blocks of one size, so that what a network says of a row does not depend on how many there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from models.base.protocol import Codes
from models.networks.weightfile import Arrays

BLOCK_ROWS = 256

Forward = Callable[[Arrays, npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""From the weights of a module and float32[BLOCK_ROWS, f], which it may overwrite, to what the module gives."""


def in_block(forward: Forward, weights: Arrays, codes: Codes) -> npt.NDArray[np.float32]:
    """float32[m, ...]: what `forward` gives for up to BLOCK_ROWS rows, which are filled up to that many.

    Args:
        forward: the function of a module in NumPy.
        weights: its arrays.
        codes: int8[m, f], m at most BLOCK_ROWS.
    """
    block = np.zeros((BLOCK_ROWS, codes.shape[1]), dtype=np.float32)
    block[: len(codes)] = codes
    return forward(weights, block)[: len(codes)]
