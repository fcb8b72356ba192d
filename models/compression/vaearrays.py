"""The functions of the variational autoencoder in NumPy alone: prediction needs no torch, and neither do figures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eraflow.data.codes import MISSING_CODE
from models.base.protocol import Codes
from models.networks.arrayoperations import linear
from models.networks.perceptronarrays import hidden_layer, standardised
from models.networks.weightfile import Arrays

Floats = npt.NDArray[np.float32]

ENCODER, MEAN, SPREAD, DECODER = "encoder.", "mean.", "spread.", "decoder."
"""What the names of the arrays of its parts begin with."""
LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE = -8.0, 4.0
"""Bounds of the logarithm of a unit's variance: exp of it stays a number while a training begins."""


def code_means(weights: Arrays, x: Floats) -> Floats:
    """float32[n, c]: the mean of the code of each row.

    Args:
        weights: the module's state_dict as arrays; of the decoder and the spread nothing is needed.
        x: float32[n, f], standardised (models/networks/inputs.py).
    """
    inner, _ = _hidden(weights, ENCODER, x)
    return linear(inner, weights[f"{MEAN}weight"], weights[f"{MEAN}bias"])


def means_of_codes(weights: Arrays, codes: Floats) -> Floats:
    """float32[n, c]: `code_means` of features as codes, float32[n, f], which are overwritten."""
    return code_means(weights, standardised(codes))


def code_levels(means: Floats, cuts: Floats, active: npt.NDArray[np.bool_]) -> Codes:
    """int8[n, c]: the five levels of the means of units; the middle one of a unit that tells nothing.

    Args:
        means: float32[n, c], finite.
        cuts: float32[c, 4], ascending in each row.
        active: bool[c], which units tell something.
    """
    found: Codes = (means[:, :, None] > cuts[None]).sum(axis=2, dtype=np.int8)
    found[:, ~active] = MISSING_CODE
    return found


def code_moments(weights: Arrays, x: Floats) -> tuple[Floats, Floats]:
    """Mean and logarithm of the variance of the code of each row, float32[n, c] each; `weights` as a whole."""
    inner, _ = _hidden(weights, ENCODER, x)
    spread = linear(inner, weights[f"{SPREAD}weight"], weights[f"{SPREAD}bias"])
    means = linear(inner, weights[f"{MEAN}weight"], weights[f"{MEAN}bias"])
    return means, spread.clip(LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE)


def divergence(means: Floats, log_variances: Floats) -> Floats:
    """float32[n, c]: the Kullback-Leibler divergence of each unit of the code from a standard normal, in nats."""
    result: Floats = (np.square(means) + np.exp(log_variances) - log_variances - np.float32(1)) * np.float32(0.5)
    return result


def reconstruction(weights: Arrays, code: Floats) -> Floats:
    """float32[n, f]: the standardised features that the decoder reads from a code, float32[n, c]."""
    inner, last = _hidden(weights, DECODER, code)
    return linear(inner, weights[f"{DECODER}{last}.weight"], weights[f"{DECODER}{last}.bias"])


def of_encoder(weights: Arrays) -> Arrays:
    """The arrays that `code_means` needs."""
    return {name: array for name, array in weights.items() if name.startswith((ENCODER, MEAN))}


def _hidden(weights: Arrays, part: str, x: Floats) -> tuple[Floats, int]:
    """What the hidden layers of a part give, and the place of the layer after them.

    A hidden layer has three places: linear, layer normalisation, ReLU.
    """
    place = 0
    while f"{part}{place + 1}.weight" in weights:
        names = (f"{part}{at}.{what}" for at in (place, place + 1) for what in ("weight", "bias"))
        x = hidden_layer(x, *(weights[name] for name in names))
        place += 3
    return x, place
