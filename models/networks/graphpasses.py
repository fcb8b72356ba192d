"""Layers of gatv2 and gin on the processor with their gradients, as the training needs them.

The layout is that of `models.networks.grapharrays`: float32[channels, features, rows], the features in the order of how
many neighbours they have. The graph is symmetric, so a gradient that flows from a feature to its neighbours is taken
from them instead of being scattered over them: everything is copied by whole lines, and added in one order. Training
gatv2 on 780 features took a third of the time of operations of torch alone (`python -m benchmarks.networks`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.networks.arrayoperations import Floats
from models.networks.featuregraph import Table
from models.networks.grapharrays import (
    BENT,
    STRAIGHT,
    Slots,
    add_mean,
    add_neighbours,
    by_neighbours,
    neighbour_shares,
    slot_by_slot,
)

SIGN = np.int32(-(1 << 31))
"""The bit of a float32 that holds its sign."""

Named = Mapping[str, Floats]


@dataclass(frozen=True)
class OrderedGraph:
    """The graph of features in the order of how many neighbours they have.

    Attributes:
        order: int64[f], the features in that order.
        slots: see `models.networks.grapharrays`.
        backwards: for each slot, where the same pairs stand as the neighbours see them, when all features and then the
            slots stand one after the other.
    """

    order: npt.NDArray[np.int64]
    slots: Slots
    backwards: Slots

    @classmethod
    def of(cls, table: Table) -> OrderedGraph:
        """From the table of `models.networks.featuregraph`."""
        order, slots = by_neighbours(table)
        features = len(order)
        mine = [np.arange(len(slot)) * features + slot for slot in slots]
        theirs = [slot * features + np.arange(len(slot)) for slot in slots]
        pairs = np.concatenate([np.empty(0, dtype=np.int64), *mine])
        by_pair = np.argsort(pairs)
        found = [features + by_pair[np.searchsorted(pairs, each, sorter=by_pair)] for each in theirs]
        return cls(order, slots, found)


class EmbeddedNodes:
    """The nodes before the first layer: each feature's value times its embedding, which is never written out.

    Args:
        embedding: float32[c, f].
        values: float32[f, n].
    """

    def __init__(self, embedding: Floats, values: Floats) -> None:
        self._embedding, self._values = embedding, values
        self.slope: Floats = np.zeros_like(embedding)

    def linear(self, weight: Floats) -> Floats:
        """float32[h, f, n], of float32[h, c]."""
        return product(weight, self._embedding)[:, :, None] * self._values

    def back(self, weight: Floats, slope: Floats) -> Floats:
        """The gradient of a weight from that of what `linear` gave; that of the embedding is added to `slope`."""
        each = np.einsum("hfn,fn->hf", slope, self._values)
        self.slope += product(weight.T, each)
        return product(each, self._embedding.T)


class LayerNodes:
    """The nodes behind a layer.

    Args:
        values: float32[c, f, n].
    """

    def __init__(self, values: Floats) -> None:
        self._values = values
        self.slope: Floats = np.zeros_like(values)

    def linear(self, weight: Floats) -> Floats:
        """See `EmbeddedNodes`."""
        return product(weight, _flat(self._values)).reshape(len(weight), *self._values.shape[1:])

    def back(self, weight: Floats, slope: Floats) -> Floats:
        """See `EmbeddedNodes`."""
        self.slope += product(weight.T, _flat(slope)).reshape(self._values.shape)
        return product(_flat(slope), _flat(self._values).T)


Nodes = EmbeddedNodes | LayerNodes
Back = Callable[[Floats], dict[str, Floats]]
"""From the gradient of what a layer gave to those of its weights; that of its nodes is added to their `slope`."""


def sum_layer(weights: Named, nodes: Nodes, graph: OrderedGraph) -> tuple[Floats, Back]:
    """gin: see `models.networks.graphnetwork.SumLayer`. What it gives, float32[h, f, n], and the way back."""
    factor = 1 + weights["eps"]
    each = nodes.linear(weights["nn.0.weight"])
    hidden = factor * each
    held = np.empty_like(each[0])
    for channel, into, shift in zip(each, hidden, weights["nn.0.bias"], strict=True):
        add_neighbours(into, channel, graph.slots, held)
        into += shift
    inner = LayerNodes(np.maximum(hidden, np.float32(0), out=hidden))
    found = inner.linear(weights["nn.2.weight"])
    found += weights["nn.2.bias"][:, None, None]

    def back(slope: Floats) -> dict[str, Floats]:
        last = inner.back(weights["nn.2.weight"], slope)
        before = inner.slope
        before *= hidden > 0
        own = factor * before
        for channel, into in zip(before, own, strict=True):
            add_neighbours(into, channel, graph.slots, held)
        return {
            "eps": np.array([_dot(before, each)], dtype=np.float32),
            "nn.0.weight": nodes.back(weights["nn.0.weight"], own),
            "nn.0.bias": _of_bias(before),
            "nn.2.weight": last,
            "nn.2.bias": _of_bias(slope),
        }

    return found, back


def attention_layer(weights: Named, nodes: Nodes, graph: OrderedGraph) -> tuple[Floats, Back]:
    """gatv2: see `models.networks.graphnetwork.AttentionLayer` and `sum_layer`."""
    left, right = (
        _shifted(nodes.linear(weights[f"{name}.weight"]), weights[f"{name}.bias"]) for name in ("lin_l", "lin_r")
    )
    found = _shifted(nodes.linear(weights["res.weight"]), weights["bias"])
    vectors = weights["att"][0]
    by_head = zip(_by_head(left, vectors), _by_head(right, vectors), vectors, strict=True)
    heads = [_Head(mine, theirs, vector, graph) for mine, theirs, vector in by_head]
    for head, into in zip(heads, _by_head(found, vectors), strict=True):
        add_mean(into, head.left, head.shares, graph.slots)

    def back(slope: Floats) -> dict[str, Floats]:
        of_left, of_right = np.zeros_like(left), np.zeros_like(right)
        parts = zip(heads, *(_by_head(each, vectors) for each in (slope, of_left, of_right)), strict=True)
        of_vectors = np.stack([head.back(*slopes) for head, *slopes in parts])[None]
        return {
            "att": of_vectors,
            "bias": _of_bias(slope),
            "lin_l.weight": nodes.back(weights["lin_l.weight"], of_left),
            "lin_l.bias": _of_bias(of_left),
            "lin_r.weight": nodes.back(weights["lin_r.weight"], of_right),
            "lin_r.bias": _of_bias(of_right),
            "res.weight": nodes.back(weights["res.weight"], slope),
        }

    return found, back


class _Head:
    """One head of the attention: the mean of a node and its neighbours, by shares that are a softmax of their scores.

    Args:
        left, right: float32[w, f, n]: what is heard, and who hears it.
        vector: float32[w].
        graph: who is heard.
    """

    def __init__(self, left: Floats, right: Floats, vector: Floats, graph: OrderedGraph) -> None:
        self.left, self._right, self._vector, self._graph = left, right, vector, graph
        self.shares = neighbour_shares(left, right, vector, graph.slots)
        self._held = np.empty_like(left[0])

    def back(self, slope: Floats, of_left: Floats, of_right: Floats) -> Floats:
        """The gradient of the vector; those of left and right are added to what is given, all float32[w, f, n].

        The gradients of the scores of a node add up to nothing, since its shares add up to one. So only the part of the
        leaky ReLU that bends moves `right`, and the straight one moves `left` alike in all channels.
        """
        scores = self._of_scores(slope)
        backwards = [scores.take(each, axis=0) for each in self._graph.backwards]
        own, *others = self._parts(scores)
        straight = own.copy()
        for part in backwards:
            straight[: len(part)] += part
        shares, *_ = self._parts(self.shares)
        heard = [self.shares.take(each, axis=0) for each in self._graph.backwards]
        of_vector = np.empty_like(self._vector)
        for at, (left, right, factor) in enumerate(zip(self.left, self._right, self._vector, strict=True)):
            bent_right = self._signed(own, np.add(left, right, out=self._held)).copy()
            bent_left = bent_right.copy()
            for slot, forwards, back in zip(self._graph.slots, others, backwards, strict=True):
                part = self._taken(left, slot)
                part += right[: len(slot)]
                bent_right[: len(slot)] += self._signed(forwards, part)
                part = self._taken(right, slot)
                part += left[: len(slot)]
                bent_left[: len(slot)] += self._signed(back, part)
            of_vector[at] = STRAIGHT * _dot(left, straight) + BENT * (_dot(right, bent_right) + _dot(left, bent_left))
            of_right[at] += factor * BENT * bent_right
            bent_left *= factor * BENT
            of_left[at] += bent_left
            of_left[at] += factor * STRAIGHT * straight
            of_left[at] += np.multiply(slope[at], shares, out=self._held)
            for slot, share in zip(self._graph.slots, heard, strict=True):
                part = self._taken(slope[at], slot)
                part *= share
                of_left[at][: len(slot)] += part
        return of_vector

    def _of_scores(self, slope: Floats) -> Floats:
        """The gradients of the scores, stacked as the shares are."""
        found = np.zeros_like(self.shares)
        own, *others = self._parts(found)
        for left, mine in zip(self.left, slope, strict=True):
            own += np.multiply(left, mine, out=self._held)
            for slot, total in zip(self._graph.slots, others, strict=True):
                part = self._taken(left, slot)
                part *= mine[: len(slot)]
                total += part
        mean = np.zeros_like(own)
        for share, total in zip(self._parts(self.shares), self._parts(found), strict=True):
            mean[: len(share)] += np.multiply(share, total, out=self._held[: len(share)])
        for share, total in zip(self._parts(self.shares), self._parts(found), strict=True):
            total -= mean[: len(share)]
            total *= share
        return found

    def _parts(self, stacked: Floats) -> list[Floats]:
        return slot_by_slot(stacked, self._graph.slots)

    def _taken(self, x: Floats, slot: npt.NDArray[np.int64]) -> Floats:
        found: Floats = x.take(slot, axis=0, out=self._held[: len(slot)], mode="clip")
        return found

    @staticmethod
    def _signed(values: Floats, signs: Floats) -> Floats:
        """`values` times the sign of `signs`, in the place of the latter."""
        bits = signs.view(np.int32)
        bits &= SIGN
        bits ^= values.view(np.int32)
        return signs


def product(one: Floats, other: Floats) -> Floats:
    """The product of two matrices, by torch: it computes in the thread that asks, and NumPy's library in its own."""
    found: Floats = torch.mm(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    return found


def _dot(one: Floats, other: Floats) -> float:
    return float(torch.dot(torch.from_numpy(one).flatten(), torch.from_numpy(other).flatten()))


def _shifted(x: Floats, bias: Floats) -> Floats:
    x += bias[:, None, None]
    return x


def _of_bias(slope: Floats) -> Floats:
    found: Floats = slope.sum(axis=(1, 2))
    return found


def _by_head(x: Floats, vectors: Floats) -> Floats:
    """float32[heads, w, f, n]"""
    return x.reshape(len(vectors), -1, *x.shape[1:])


def _flat(x: Floats) -> Floats:
    return x.reshape(len(x), -1)
