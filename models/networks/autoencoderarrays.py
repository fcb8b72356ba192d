"""The function of the autoencoder in NumPy alone: prediction needs no torch, and no decoder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.networks.perceptronarrays import hidden_layer, perceptron, standardised
from models.networks.weightfile import Arrays

ENCODER = ("encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias")
HEAD = "head."


def forward(weights: Arrays, codes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The prediction of the trained module of `models.networks.supervisedautoencoder`, float32[n].

    Args:
        weights: the module's state_dict as arrays, in its order.
        codes: float32[n, f], overwritten.
    """
    x = standardised(codes)
    code = hidden_layer(x, *(weights[name] for name in ENCODER))
    head = [array for name, array in weights.items() if name.startswith(HEAD)]
    return perceptron(head, np.concatenate([x, code], axis=1))
