"""The network of the mlp: for training a function in torch, for prediction the same function in NumPy."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from models.networks.recipe import CENTRE, SCALE, Arrays
from models.networks.torchlibrary import torch_library

NORM_EPSILON = 1e-5


class Layers:
    """The network as a function of its weights: for each layer w, b, and the normalisation's g, c."""

    def __init__(self, n_features: int, hidden: list[int], dropout: float) -> None:
        self.sizes = [n_features, *hidden, 1]
        self.dropout = dropout

    def initial(self, seed: int) -> Arrays:
        """He's initialisation; the last layer is small, so that the training begins near a constant."""
        rng = np.random.default_rng(seed)
        weights: Arrays = {}
        for number, (inputs, outputs) in enumerate(pairwise(self.sizes)):
            last = number == len(self.sizes) - 2
            scale = (0.1 if last else 1.0) * math.sqrt(2 / inputs)
            weights[f"w{number}"] = (rng.standard_normal((outputs, inputs)) * scale).astype(np.float32)
            weights[f"b{number}"] = np.zeros(outputs, dtype=np.float32)
            if not last:
                weights[f"g{number}"] = np.ones(outputs, dtype=np.float32)
                weights[f"c{number}"] = np.zeros(outputs, dtype=np.float32)
        return weights

    def forward(self, weights: Mapping[str, Any], x: Any, noise: Any) -> Any:
        """float[n]; `x` float32[n, f] standardised codes."""
        torch = torch_library()
        functional = torch.nn.functional
        for number in range(len(self.sizes) - 2):
            x = functional.linear(x, weights[f"w{number}"], weights[f"b{number}"])
            x = functional.layer_norm(x, x.shape[1:], weights[f"g{number}"], weights[f"c{number}"], NORM_EPSILON)
            x = functional.relu(x)
            if self.dropout > 0:
                kept = torch.empty_like(x).bernoulli_(1 - self.dropout, generator=noise)
                x = x * kept / (1 - self.dropout)
        number = len(self.sizes) - 2
        return functional.linear(x, weights[f"w{number}"], weights[f"b{number}"])[:, 0]


def forward_numpy(weights: Arrays, codes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The same function as `Layers.forward` without dropout; `codes` float32[n, f] is overwritten."""
    x = np.subtract(codes, np.float32(CENTRE), out=codes)
    x *= np.float32(SCALE)
    last = sum(name.startswith("w") for name in weights) - 1
    for number in range(last):
        x = _linear(x, weights[f"w{number}"], weights[f"b{number}"])
        x -= x.mean(axis=1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(axis=1, keepdims=True) + np.float32(NORM_EPSILON))
        x = np.maximum(x * weights[f"g{number}"] + weights[f"c{number}"], np.float32(0))
    return _linear(x, weights[f"w{last}"], weights[f"b{last}"])[:, 0]


def _linear(
    x: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """`x @ weight.T + bias`, summed in float64 and rounded once.

    On some processors BLAS sums the first and last rows of a block in another order than the others, so that the last
    bits of a row's result in float32 depend on its place. Rounding a float64 sum takes these away.
    """
    result: npt.NDArray[np.float32] = (x.astype(np.float64) @ weight.T.astype(np.float64) + bias).astype(np.float32)
    return result


def to_bytes(weights: Arrays) -> bytes:
    """The arrays one after the other in NumPy's own format; an npz would hold the time of day."""
    buffer = io.BytesIO()
    for array in weights.values():
        np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
