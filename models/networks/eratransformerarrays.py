"""The function of the transformer across an era in NumPy alone."""

from __future__ import annotations

import numpy as np

from models.base.protocol import Codes
from models.networks.arrayoperations import Floats, attended, linear, normalised
from models.networks.transformerarrays import embedded
from models.networks.weightfile import Arrays

NORM_EPSILON = 1e-5
"""The default of torch.nn.LayerNorm."""
BLOCK_ROWS = 256


def forward_era(weights: Arrays, codes: Codes) -> Floats:
    """What the trained module of `models.networks.eratransformer` gives for one whole era, float32[n].

    The rows become vectors in blocks of one size, so that those of a large era fit into little memory.

    Args:
        weights: the module's state_dict as arrays.
        codes: int8[n, f] of all rows of the era.
    """
    rows = np.concatenate(
        [_vectors(weights, codes[start : start + BLOCK_ROWS]) for start in range(0, len(codes), BLOCK_ROWS)]
    )
    points = _attending(weights, "gather.", weights["points"], rows)
    return linear(_attending(weights, "spread.", rows, points), weights["head.weight"], weights["head.bias"])[:, 0]


def _vectors(weights: Arrays, codes: Codes) -> Floats:
    block = np.zeros((BLOCK_ROWS, codes.shape[1]), dtype=np.float32)
    block[: len(codes)] = codes
    return embedded(weights, block)[: len(codes)]


def _attending(weights: Arrays, name: str, mine: Floats, others: Floats) -> Floats:
    query = _linear(weights, name + "query", mine)
    key, value = (_linear(weights, name + part, others) for part in ("key", "value"))
    context = attended(query, key, value, int(weights["heads"]))
    hidden = _norm(weights, name + "first", mine + _linear(weights, name + "dense", context))
    inner = np.maximum(_linear(weights, name + "inner", hidden), np.float32(0))
    return _norm(weights, name + "second", hidden + _linear(weights, name + "outer", inner))


def _linear(weights: Arrays, name: str, x: Floats) -> Floats:
    return linear(x, weights[name + ".weight"], weights[name + ".bias"])


def _norm(weights: Arrays, name: str, x: Floats) -> Floats:
    return normalised(x, weights[name + ".weight"], weights[name + ".bias"], NORM_EPSILON)
