"""All layers of gatv2 and gin on the processor, a few rows at a time, as one operation of torch with a gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.networks.arrayoperations import Floats
from models.networks.grapharrays import chunks
from models.networks.graphpasses import Back, EmbeddedNodes, LayerNodes, Named, Nodes, OrderedGraph

Layer = Callable[[Named, Nodes, OrderedGraph], tuple[Floats, Back]]


@dataclass(frozen=True)
class Stack:
    """What the layers are, beside their weights.

    Attributes:
        graph: over which.
        layer: the pass of each.
        names: of the weights of each layer, in the order in which they are handed over.
    """

    graph: OrderedGraph
    layer: Layer
    names: Sequence[Sequence[str]]


class LayersOnCpu(torch.autograd.Function):
    """From the values of the features to their nodes behind all layers; each layer is followed by ReLU.

    Nothing is kept for the gradient but the values: a few rows at a time, all layers are computed again.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, stack: Stack, embedding: torch.Tensor, *weights: torch.Tensor
    ) -> torch.Tensor:
        """float32[n, f * h] of float32[n, f], float32[f, c] and the weights of all layers."""
        ctx.save_for_backward(x, embedding, *weights)
        ctx.stack = stack
        values, arrays = x.detach().numpy(), [each.detach().numpy() for each in (embedding, *weights)]
        parts = [_Pass(stack, values[part], arrays).nodes() for part in chunks(*values.shape)]
        return torch.from_numpy(np.concatenate(parts)).flatten(1)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of the embedding and of the weights; there is none of the values."""
        x, *tensors = ctx.saved_tensors
        values, arrays = x.numpy(), [each.detach().numpy() for each in tensors]
        slopes = slope.detach().reshape(*x.shape, -1).numpy()
        totals = [np.zeros_like(each) for each in arrays]
        for part in chunks(*values.shape):
            for total, mine in zip(totals, _Pass(ctx.stack, values[part], arrays).back(slopes[part]), strict=True):
                total += mine
        return None, None, *map(torch.from_numpy, totals)


class _Pass:
    """Some rows on their way through the layers.

    Args:
        stack: the layers.
        values: float32[n, f].
        arrays: the embedding, then the weights of all layers.
    """

    def __init__(self, stack: Stack, values: Floats, arrays: Sequence[Floats]) -> None:
        self._order = stack.graph.order
        embedding = np.ascontiguousarray(arrays[0][self._order].T)
        nodes: Nodes = EmbeddedNodes(embedding, np.ascontiguousarray(values.T[self._order]))
        rest = iter(arrays[1:])
        self._steps: list[tuple[Nodes, Sequence[str], Floats, Back]] = []
        for names in stack.names:
            found, back = stack.layer({name: next(rest) for name in names}, nodes, stack.graph)
            np.maximum(found, np.float32(0), out=found)
            self._steps.append((nodes, names, found, back))
            nodes = LayerNodes(found)

    def nodes(self) -> Floats:
        """float32[n, f, h] behind the last layer."""
        last = self._steps[-1][2]
        found = np.empty((last.shape[2], last.shape[1], last.shape[0]), dtype=np.float32)
        found[:, self._order] = last.transpose(2, 1, 0)
        return found

    def back(self, slopes: Floats) -> list[Floats]:
        """The gradients of the arrays, from those of the nodes."""
        slope = np.ascontiguousarray(slopes[:, self._order].transpose(2, 1, 0))
        found: list[Floats] = []
        for nodes, names, values, back in reversed(self._steps):
            slope *= values > 0
            gradients = back(slope)
            found = [*(gradients[name] for name in names), *found]
            slope = nodes.slope
        of_embedding = np.empty_like(slope.T)
        of_embedding[self._order] = slope.T
        return [of_embedding, *found]
