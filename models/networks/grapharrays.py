"""The functions of gatv2 and gin in NumPy alone: prediction needs no torch, and no torch-geometric.

A few rows at a time, their values side by side: an array of float32[channels, features, rows]. So a neighbour is taken
by copying whole lines, and everything else runs along the rows. The features stand in the order of how many neighbours
they have; those with a neighbour in a slot of the table are then the first ones, and no slot that is empty costs
anything. All sums over channels, slots and features are made in one order for every row, or in float64 and rounded
once, so that a row's bits depend on nothing but the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from models.base.rows import tiles
from models.networks.arrayoperations import Floats
from models.networks.featuregraph import NONE, Table
from models.networks.graphshape import SLOPE
from models.networks.inputs import CENTRE, SCALE
from models.networks.weightfile import Arrays

STRAIGHT, BENT = np.float32((1 + SLOPE) / 2), np.float32((1 - SLOPE) / 2)
"""leaky(v) = STRAIGHT * v + BENT * |v|"""
CHUNK_VALUES = 1 << 15
"""Values of one channel of so many rows as are computed at once: a few such arrays stay in the processor's cache."""
LAYER = "layers.{}."

LINEAR_COLUMNS = 4096
"""Columns of a matrix product at once. 16 x 16 with 32,768 columns: 1.8 ms, and 8.3 with all of them at once, when the
float64 of all do not fit into the cache (OpenBLAS, one thread)."""

Slots = Sequence[npt.NDArray[np.int64]]
"""The neighbours in each slot of the table, int64[at most f]: of the first features, as many as have one there."""


class Embedded:
    """The nodes before the first layer: each feature's value times its embedding, which is never written out.

    Args:
        embedding: float32[c, f].
        values: float32[f, n].
    """

    def __init__(self, embedding: Floats, values: Floats) -> None:
        self._embedding, self._values = embedding.astype(np.float64), values

    def linear(self, weight: Floats, bias: Floats) -> Floats:
        """A linear layer over the channels, float32[h, f, n], of weight float32[h, c] and bias float32[h]."""
        embedding = (weight.astype(np.float64) @ self._embedding).astype(np.float32)
        found: Floats = embedding[:, :, None] * self._values
        found += bias[:, None, None]
        return found


class Hidden:
    """The nodes behind a layer.

    Args:
        values: float32[c, f, n].
    """

    def __init__(self, values: Floats) -> None:
        self.values = values

    def linear(self, weight: Floats, bias: Floats) -> Floats:
        """See `Embedded`; summed as in `models.networks.arrayoperations.linear`."""
        wide, columns = np.column_stack([weight, bias]).astype(np.float64), self.values.reshape(len(self.values), -1)
        found = np.empty((len(weight), columns.shape[1]), dtype=np.float32)
        with_one = np.ones((wide.shape[1], LINEAR_COLUMNS))  # the bias is the weight of a channel that is always one
        for part in tiles(columns.shape[1], LINEAR_COLUMNS):
            values = columns[:, part]
            with_one[:-1, : values.shape[1]] = values
            found[:, part] = wide @ with_one[:, : values.shape[1]]
        return found.reshape(len(weight), *self.values.shape[1:])


Layer = Callable[[Arrays, str, Embedded | Hidden, Slots], Floats]
"""From the weights, the layer's place among them and the nodes to float32[c, f, n] behind it."""


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
    order, slots = by_neighbours(weights["neighbours"].astype(np.int64))
    embedding, readout = weights["embedding"][order].T, _in_order(weights["readout.weight"], order)
    result = np.empty(len(x), dtype=np.float32)
    for part in chunks(len(x), len(order)):
        nodes: Embedded | Hidden = Embedded(embedding, np.ascontiguousarray(x[part].T[order]))
        number = 0
        while (name := LAYER.format(number)) + KNOWN_BY[layer] in weights:
            hidden = layer(weights, name, nodes, slots)
            nodes = Hidden(np.maximum(hidden, np.float32(0), out=hidden))
            number += 1
        flat = hidden.reshape(len(readout), -1).astype(np.float64)
        result[part] = readout @ flat + weights["readout.bias"]
    return result


def chunks(rows: int, features: int) -> Iterator[slice]:
    """The rows, in parts of one size but for a row that go through the layers at once."""
    parts = -(-rows * features // CHUNK_VALUES)
    return tiles(rows, -(-rows // max(1, parts)) or 1)


def by_neighbours(table: Table) -> tuple[npt.NDArray[np.int64], Slots]:
    """The features in the order of how many neighbours they have, most first, and the slots of the table in it."""
    degrees = (table != NONE).sum(axis=1)
    order = np.argsort(-degrees, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return order, [place[table[order[: np.count_nonzero(degrees > slot)], slot]] for slot in range(table.shape[1])]


def _in_order(readout: Floats, order: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """float64[c * f]: the weights of the last layer, which the module has feature by feature."""
    by_feature = readout.reshape(len(order), -1)[order]
    return by_feature.T.ravel().astype(np.float64)


def _attention(weights: Arrays, name: str, nodes: Embedded | Hidden, slots: Slots) -> Floats:
    """One layer: a node is the mean of itself and its neighbours, by shares that are a softmax of their scores."""
    attention = weights[name + "att"][0]
    left = nodes.linear(weights[name + "lin_l.weight"], weights[name + "lin_l.bias"])
    right = nodes.linear(weights[name + "lin_r.weight"], weights[name + "lin_r.bias"])
    found = nodes.linear(weights[name + "res.weight"], weights[name + "bias"])
    by_head = (each.reshape(len(attention), -1, *each.shape[1:]) for each in (left, right, found))
    for mine, theirs, total, vector in zip(*by_head, attention, strict=True):
        add_mean(total, mine, neighbour_shares(mine, theirs, vector, slots), slots)
    return found


def add_neighbours(total: Floats, channel: Floats, slots: Slots, heard: Floats) -> None:
    """Add to each feature what its neighbours have.

    Args:
        total: float32[f, n], what it is added to.
        channel: float32[f, n], what the features have.
        slots: who is heard.
        heard: float32[f, n], overwritten.
    """
    for slot in slots:
        total[: len(slot)] += channel.take(slot, axis=0, out=heard[: len(slot)], mode="clip")


def add_mean(total: Floats, left: Floats, shares: Floats, slots: Slots) -> None:
    """Add to each node the mean of itself and its neighbours, by one head of gatv2.

    Args:
        total: float32[w, f, n], what it is added to.
        left: float32[w, f, n], what is heard.
        shares: see `neighbour_shares`.
        slots: who is heard.
    """
    own, *others = slot_by_slot(shares, slots)
    heard = np.empty_like(own)
    for channel, into in zip(left, total, strict=True):
        into += np.multiply(channel, own, out=heard)
        for slot, share in zip(slots, others, strict=True):
            part = channel.take(slot, axis=0, out=heard[: len(slot)], mode="clip")
            part *= share
            into[: len(slot)] += part


def neighbour_shares(left: Floats, right: Floats, vector: Floats, slots: Slots) -> Floats:
    """How much a node listens to itself and to its neighbours, by one head of gatv2: the softmax of their scores.

    Args:
        left, right: float32[w, f, n]: what is heard, and who hears it.
        vector: float32[w], the head's attention.
        slots: who is heard.

    Returns:
        float32[f + all entries of the slots, n]: all nodes to themselves, then slot by slot.
    """
    stacked = np.empty((left.shape[1] + sum(map(len, slots)), left.shape[2]), dtype=np.float32)
    parts = slot_by_slot(stacked, slots)
    _score(parts, left, right, vector, slots)
    highest = parts[0].copy()
    for score in parts[1:]:
        np.maximum(highest[: len(score)], score, out=highest[: len(score)])
    for score in parts:
        score -= highest[: len(score)]
    np.exp(stacked, out=stacked)
    whole = parts[0].copy()
    for score in parts[1:]:
        whole[: len(score)] += score
    for score in parts:
        score /= whole[: len(score)]
    return stacked


def slot_by_slot(stacked: Floats, slots: Slots) -> list[Floats]:
    """The nodes themselves, and the entries of each slot."""
    bounds = np.cumsum([len(stacked) - sum(map(len, slots)), *map(len, slots)]).tolist()
    return [stacked[start:stop] for start, stop in zip([0, *bounds], bounds, strict=False)]


def _score(scores: list[Floats], left: Floats, right: Floats, vector: Floats, slots: Slots) -> None:
    """Write the scores: float32[f, n] of a node with itself, then float32[first features, n] of each slot.

    The score is the sum over the channels of a * leaky(l + r). The straight part of leaky is a sum for each node alone;
    only the one that bends needs every pair.
    """
    bent = BENT * np.abs(vector)
    from_left, from_right = (_weighted(STRAIGHT * vector, each) for each in (left, right))
    np.add(from_left, from_right, out=scores[0])
    for slot, score in zip(slots, scores[1:], strict=True):
        np.add(from_left.take(slot, axis=0, mode="clip"), from_right[: len(slot)], out=score)
    mine, theirs, heard = (np.empty_like(from_left) for _ in range(3))
    for channel, (one, other) in enumerate(zip(left, right, strict=True)):
        np.multiply(one, bent[channel], out=mine)
        np.multiply(other, bent[channel], out=theirs)
        add = np.add if vector[channel] > 0 else np.subtract
        np.abs(np.add(mine, theirs, out=heard), out=heard)
        add(scores[0], heard, out=scores[0])
        for slot, score in zip(slots, scores[1:], strict=True):
            part = mine.take(slot, axis=0, out=heard[: len(slot)], mode="clip")
            part += theirs[: len(slot)]
            add(score, np.abs(part, out=part), out=score)


def _weighted(factors: Floats, channels: Floats) -> Floats:
    """float32[f, n]: the sum over the channels, each times its factor."""
    total: Floats = factors[0] * channels[0]
    for factor, channel in zip(factors[1:], channels[1:], strict=True):
        total += factor * channel
    return total


def _sum(weights: Arrays, name: str, nodes: Embedded | Hidden, slots: Slots) -> Floats:
    """One layer: the node and its neighbours, then a perceptron, whose first linear layer may as well come first."""
    weight, bias = weights[name + "nn.0.weight"], weights[name + "nn.0.bias"]
    each = nodes.linear(weight, np.zeros_like(bias))
    hidden = (1 + weights[name + "eps"]) * each
    heard = np.empty_like(each[0])
    for channel, into, shift in zip(each, hidden, bias, strict=True):
        add_neighbours(into, channel, slots, heard)
        into += shift
    np.maximum(hidden, np.float32(0), out=hidden)
    return Hidden(hidden).linear(weights[name + "nn.2.weight"], weights[name + "nn.2.bias"])


KNOWN_BY: dict[Layer, str] = {_attention: "att", _sum: "eps"}
"""The array that every layer of its kind has."""
