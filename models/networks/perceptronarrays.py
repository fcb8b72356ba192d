"""The function of the mlp in NumPy alone: prediction needs no torch, and neither does an uploaded model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.networks.inputs import CENTRE, SCALE
from models.networks.weightfile import Arrays

NORM_EPSILON = 1e-5
"""The default of torch.nn.LayerNorm."""


def forward(weights: Arrays, codes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What the trained module of `models.networks.perceptron` gives, float32[n].

    Args:
        weights: the module's state_dict as arrays, in its order: weight and bias of a linear layer, then scale and
            shift of its normalisation, for each hidden layer; weight and bias of the last layer.
        codes: float32[n, f], overwritten.
    """
    x = np.subtract(codes, np.float32(CENTRE), out=codes)
    x *= np.float32(SCALE)
    *hidden, last_weight, last_bias = weights.values()
    for weight, bias, scale, shift in zip(*[iter(hidden)] * 4, strict=True):
        x = _linear(x, weight, bias)
        x -= x.mean(axis=1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(axis=1, keepdims=True) + np.float32(NORM_EPSILON))
        x = np.maximum(x * scale + shift, np.float32(0))
    return _linear(x, last_weight, last_bias)[:, 0]


def _linear(
    x: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """`x @ weight.T + bias`, summed in float64 and rounded once.

    On some processors BLAS sums the first and last rows of a block in another order than the others, so that the last
    bits of a row's result in float32 depend on its place. Rounding a float64 sum takes these away.
    """
    result: npt.NDArray[np.float32] = (x.astype(np.float64) @ weight.T.astype(np.float64) + bias).astype(np.float32)
    return result
