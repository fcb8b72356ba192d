"""The function of the mlp in NumPy alone: prediction needs no torch, and neither does an uploaded model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.networks.arrayoperations import linear, normalised
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
    return perceptron(list(weights.values()), standardised(codes))


def standardised(codes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The codes as a module sees them, float32[n, f], in place."""
    x: npt.NDArray[np.float32] = np.subtract(codes, np.float32(CENTRE), out=codes)
    x *= np.float32(SCALE)
    return x


def perceptron(arrays: Sequence[npt.NDArray[np.float32]], x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What a `models.networks.perceptron.perceptron` gives, float32[n].

    Args:
        arrays: its state_dict in its order; see `forward`.
        x: float32[n, f].
    """
    *hidden, last_weight, last_bias = arrays
    for weight, bias, scale, shift in zip(*[iter(hidden)] * 4, strict=True):
        x = hidden_layer(x, weight, bias, scale, shift)
    return linear(x, last_weight, last_bias)[:, 0]


def hidden_layer(
    x: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
    shift: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """A linear layer, layer normalisation and ReLU, float32[n, h].

    Args:
        x: float32[n, f].
        weight: float32[h, f], of the linear layer.
        bias: float32[h], of the same.
        scale: float32[h], of the normalisation.
        shift: float32[h], of the same.
    """
    inner = normalised(linear(x, weight, bias), scale, shift, NORM_EPSILON)
    result: npt.NDArray[np.float32] = np.maximum(inner, np.float32(0))
    return result
