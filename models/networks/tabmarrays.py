"""The function of the tabm in NumPy alone: prediction needs no torch, and not the package tabm."""

from __future__ import annotations

from itertools import count, takewhile

import numpy as np
import numpy.typing as npt

from models.networks.arrayoperations import Floats, linear
from models.networks.perceptronarrays import standardised
from models.networks.weightfile import Arrays

BLOCK = "backbone.blocks.{}.0."


def forward(weights: Arrays, codes: Floats) -> Floats:
    """The mean of the k predictions of the trained module of `models.networks.tabmensemble`, float32[n].

    One of the k after the other, so that no array holds more than the rows of one of them.

    Args:
        weights: the module's state_dict as arrays.
        codes: float32[n, f], overwritten.
    """
    x = standardised(codes)
    k = len(weights["output.bias"])
    total: npt.NDArray[np.float64] = np.zeros(len(x))
    for number in range(k):
        total += _one(weights, number, x)
    return (total / k).astype(np.float32)


def _one(weights: Arrays, number: int, x: Floats) -> Floats:
    """The predictions of one of the k, float32[n]."""
    for block in takewhile(lambda name: name + "weight" in weights, map(BLOCK.format, count())):
        shared = weights[block + "weight"]
        scaled = linear(x * weights[block + "r"][number], shared, np.zeros(len(shared), np.float32))
        x = np.maximum(scaled * weights[block + "s"][number] + weights[block + "bias"][number], np.float32(0))
    return linear(x, weights["output.weight"][number].T, weights["output.bias"][number])[:, 0]
