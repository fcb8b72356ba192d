"""The functions of gatv2 and gin in NumPy alone: prediction needs no torch, and no torch-geometric."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from models.base.rows import tiles
from models.networks.arrayoperations import Floats, linear
from models.networks.featuregraph import NONE, Table
from models.networks.graphshape import SLOPE
from models.networks.inputs import CENTRE, SCALE
from models.networks.weightfile import Arrays

CHUNK_VALUES = 1 << 18
"""Values of the nodes of so many rows as are computed at once, so that they stay in the cache."""
LAYER = "layers.{}."

Layer = Callable[[Arrays, str, Floats, Table], Floats]


def attention_forward(weights: Arrays, codes: Floats) -> Floats:
    """What the trained module of gatv2 gives, float32[n].

    Args:
        weights: the state_dict of `models.networks.graphnetwork.GraphNetwork` as arrays.
        codes: float32[n, f], overwritten.
    """
    return _forward(weights, codes, _attention)


def sum_forward(weights: Arrays, codes: Floats) -> Floats:
    """What the trained module of gin gives; see `attention_forward`."""
    return _forward(weights, codes, _sum)


def _forward(weights: Arrays, codes: Floats, layer: Layer) -> Floats:
    x = np.subtract(codes, np.float32(CENTRE), out=codes)
    x *= np.float32(SCALE)
    table = weights["neighbours"].astype(np.int64)
    result = np.empty(len(x), dtype=np.float32)
    rows = max(1, CHUNK_VALUES // weights["readout.weight"].size)
    for part in tiles(len(x), rows):
        hidden = x[part, :, None] * weights["embedding"]
        number = 0
        while (name := LAYER.format(number)) + KNOWN_BY[layer] in weights:
            hidden = np.maximum(layer(weights, name, hidden, table), np.float32(0))
            number += 1
        result[part] = _readout(weights, hidden)
    return result


def _readout(weights: Arrays, hidden: Floats) -> Floats:
    """One number a row, summed row by row: the sum of a row is the same however many are computed at once."""
    products = hidden.reshape(len(hidden), -1).astype(np.float64) * weights["readout.weight"]
    found: Floats = (products.sum(axis=1) + weights["readout.bias"]).astype(np.float32)
    return found


def _attention(weights: Arrays, name: str, x: Floats, table: Table) -> Floats:
    """One layer: the softmax over itself and the neighbours is summed slot by slot."""
    _, heads, width = weights[name + "att"].shape
    left = _split(linear(x, weights[name + "lin_l.weight"], weights[name + "lin_l.bias"]), heads)
    right = _split(linear(x, weights[name + "lin_r.weight"], weights[name + "lin_r.bias"]), heads)
    slots = [np.arange(len(table)), *table.T]  # a node attends to itself as well
    scores = np.stack([_score(left, right, slot, weights[name + "att"]) for slot in slots])
    scores -= scores.max(axis=0)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=0)
    mixed = np.zeros_like(left)
    for slot, share in zip(slots, scores, strict=True):
        mixed += left[:, slot] * share[..., None].astype(np.float32)
    residual = linear(x, weights[name + "res.weight"], np.zeros(heads * width, dtype=np.float32))
    found: Floats = mixed.reshape(*x.shape[:2], heads * width) + residual + weights[name + "bias"]
    return found


def _score(left: Floats, right: Floats, slot: npt.NDArray[np.int64], attention: Floats) -> npt.NDArray[np.float64]:
    """float64[n, f, heads]: what each feature makes of its neighbour in a slot; minus infinity where there is none."""
    heard = left[:, slot] + right
    heard = np.maximum(heard, np.float32(SLOPE) * heard)
    scores: npt.NDArray[np.float64] = (heard * attention).sum(axis=-1, dtype=np.float64)
    scores[:, slot == NONE] = -np.inf
    return scores


def _sum(weights: Arrays, name: str, x: Floats, table: Table) -> Floats:
    """One layer: the node and its neighbours, then a perceptron."""
    total = (1 + weights[name + "eps"]) * x
    for slot in table.T:
        total += x[:, slot] * (slot != NONE).astype(np.float32)[:, None]
    hidden = np.maximum(linear(total, weights[name + "nn.0.weight"], weights[name + "nn.0.bias"]), np.float32(0))
    return linear(hidden, weights[name + "nn.2.weight"], weights[name + "nn.2.bias"])


def _split(x: Floats, heads: int) -> Floats:
    """float32[n, f, heads, width]"""
    return x.reshape(*x.shape[:2], heads, -1)


KNOWN_BY: dict[Layer, str] = {_attention: "att", _sum: "eps"}
"""The array that every layer of its kind has."""
