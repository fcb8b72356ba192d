"""The function of the transformer in NumPy alone: prediction needs no torch, and no Transformers."""

from __future__ import annotations

import numpy as np

from models.networks.arrayoperations import Floats, attended, linear, normalised
from models.networks.inputs import CENTRE, SCALE
from models.networks.weightfile import Arrays

NORM_EPSILON = 1e-12
"""The default of BertConfig."""
EMBEDDINGS = "encoder.embeddings."
LAYER = "encoder.encoder.layer.{}."


def forward(weights: Arrays, codes: Floats) -> Floats:
    """What the trained module of `models.networks.grouptransformer` gives, float32[n].

    Args:
        weights: the module's state_dict as arrays.
        codes: float32[n, f], overwritten.
    """
    return linear(embedded(weights, codes), weights["head.weight"], weights["head.bias"])[:, 0]


def embedded(weights: Arrays, codes: Floats) -> Floats:
    """float32[n, width]: each row as the mean of its tokens behind the encoder; arguments as for `forward`."""
    hidden = _tokens(weights, codes)
    hidden += weights[EMBEDDINGS + "position_embeddings.weight"] + weights[EMBEDDINGS + "token_type_embeddings.weight"]
    hidden = _norm(weights, EMBEDDINGS + "LayerNorm", hidden)
    number = 0
    while LAYER.format(number) + "output.dense.weight" in weights:
        hidden = _layer(weights, LAYER.format(number), hidden)
        number += 1
    result: Floats = hidden.mean(axis=1)
    return result


def _tokens(weights: Arrays, codes: Floats) -> Floats:
    """float32[n, t, width]: the projection of each group of features."""
    x = np.subtract(codes, np.float32(CENTRE), out=codes)
    x *= np.float32(SCALE)
    wide = x[:, weights["order"]].astype(np.float64)
    cuts = np.cumsum(weights["sizes"])[:-1]
    parts = zip(np.split(wide, cuts, axis=1), np.split(weights["projection"], cuts), strict=True)
    return np.stack([(part @ matrix.astype(np.float64)).astype(np.float32) for part, matrix in parts], axis=1)


def _layer(weights: Arrays, name: str, hidden: Floats) -> Floats:
    query, key, value = (_linear(weights, f"{name}attention.self.{part}", hidden) for part in ("query", "key", "value"))
    context = attended(query, key, value, int(weights["heads"]))
    context = _linear(weights, name + "attention.output.dense", context)
    hidden = _norm(weights, name + "attention.output.LayerNorm", context + hidden)
    inner = np.maximum(_linear(weights, name + "intermediate.dense", hidden), np.float32(0))
    return _norm(weights, name + "output.LayerNorm", _linear(weights, name + "output.dense", inner) + hidden)


def _linear(weights: Arrays, name: str, x: Floats) -> Floats:
    return linear(x, weights[name + ".weight"], weights[name + ".bias"])


def _norm(weights: Arrays, name: str, x: Floats) -> Floats:
    return normalised(x, weights[name + ".weight"], weights[name + ".bias"], NORM_EPSILON)
