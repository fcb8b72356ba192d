"""The modules of gatv2 and gin: layers of a graph network over one graph that serves all rows.

The neighbours stand in one table instead of a list of edges for each row, and a few rows at a time pass through all
layers: what is gathered for their edges stays in the processor's cache, and is computed again for the gradient instead
of being kept. The layers compute what torch-geometric's GATv2Conv and GINConv do, and call their weights by the same
names. Their own `forward` is what a GPU computes; on the processor, models/networks/graphoncpu.py computes the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from models.networks.featuregraph import NONE, Table
from models.networks.graphoncpu import LayersOnCpu, Stack
from models.networks.graphpasses import OrderedGraph, attention_layer, sum_layer
from models.networks.graphshape import SLOPE, GraphShape
from models.networks.losses import SquaredError
from models.networks.network import Network

CHUNK_VALUES = 1 << 24
"""Values that are gathered at once on a GPU; a guess."""


@dataclass(frozen=True)
class Graph:
    """Who is whose neighbour, in the two forms in which it is computed with.

    Attributes:
        table: int64[f, s] as in featuregraph.py.
        neighbours: int64[e], all neighbours of the first feature, then those of the second, and so on.
        begins: int64[f], where those of each feature begin.
    """

    table: torch.Tensor
    neighbours: torch.Tensor
    begins: torch.Tensor

    @classmethod
    def of(cls, table: torch.Tensor) -> Graph:
        """From the table, on its device."""
        there = table != NONE
        counts = there.sum(1)
        return cls(table, table[there], counts.cumsum(0) - counts)


class AttentionLayer(torch.nn.Module):
    """Graph attention, second version: a node takes the mean of itself and its neighbours, weighted by what both are.

    The same as `GATv2Conv(inputs, width, heads, residual=True)` of torch-geometric, with loops of a node to itself.

    Args:
        inputs: of a node.
        width: of a head; a node leaves with heads * width.
        heads: of the attention.
    """

    def __init__(self, inputs: int, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.att = torch.nn.Parameter(_glorot(torch.empty(1, heads, width)))
        self.bias = torch.nn.Parameter(torch.zeros(heads * width))
        self.lin_l = _linear(inputs, heads * width)
        self.lin_r = _linear(inputs, heads * width)
        self.res = _linear(inputs, heads * width, bias=False)

    def forward(self, x: torch.Tensor, graph: Graph) -> torch.Tensor:
        """float[f, n, heads * width] of float[f, n, inputs]."""
        own = torch.arange(len(x), device=x.device)[:, None]
        sources = torch.cat([own, graph.table], dim=1)  # a node attends to itself as well
        messages = _gathered(self.lin_l(x), sources).unflatten(-1, (self._heads, -1))
        targets = self.lin_r(x).unflatten(-1, (self._heads, -1))[:, None]
        scores = (torch.nn.functional.leaky_relu(messages + targets, SLOPE) * self.att).sum(-1)
        scores = scores.masked_fill((sources == NONE)[:, :, None, None], -math.inf)
        mixed = (messages * scores.softmax(dim=1).unsqueeze(-1)).sum(1)
        found: torch.Tensor = mixed.flatten(-2) + self.res(x) + self.bias
        return found


class SumLayer(torch.nn.Module):
    """Graph isomorphism layer: a perceptron on a node, scaled by 1 + eps, plus the sum of its neighbours.

    The same as `GINConv(nn, train_eps=True)` of torch-geometric.

    Args:
        inputs: of a node.
        width: of the perceptron's hidden layer, and with which a node leaves.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.eps = torch.nn.Parameter(torch.zeros(1))
        self.nn = torch.nn.Sequential(_linear(inputs, width), torch.nn.ReLU(inplace=True), _linear(width, width))

    def forward(self, x: torch.Tensor, graph: Graph) -> torch.Tensor:
        """float[f, n, width] of float[f, n, inputs]."""
        found: torch.Tensor = self.nn(NeighbourSum.apply(x, 1 + self.eps, graph))
        return found


class NeighbourSum(torch.autograd.Function):
    """Each node times a factor, plus the sum of its neighbours.

    The graph is symmetric, so the gradient is the same of the gradients.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: torch.Tensor, graph: Graph) -> torch.Tensor:
        """float[f, n, h] of the same, and of float[1]."""
        ctx.save_for_backward(x, factor)
        ctx.graph = graph
        return _summed(x, factor, graph)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """The gradients for x and for the factor."""
        x, factor = ctx.saved_tensors
        slope = slope.contiguous()
        scale = torch.dot(slope.float().flatten(), x.float().flatten())[None]
        return _summed(slope, factor, ctx.graph), scale.to(factor.dtype), None


class GraphNetwork(torch.nn.Module):
    """Each feature's value times an embedding of its own, layers over the graph, all nodes into one number a row.

    The layers' weights serve all features and rows; the embedding and the last layer tell the features apart.

    Args:
        table: the graph, int64[f, s] as in featuregraph.py; it stands in the state_dict, so that the network can be
            computed from that alone.
        shape: how large it is.
    """

    neighbours: torch.Tensor

    def __init__(self, table: Table, shape: GraphShape) -> None:
        super().__init__()
        self.register_buffer("neighbours", torch.from_numpy(table.copy()))
        self.embedding = torch.nn.Parameter(torch.randn(len(table), shape.width))
        self.layers = torch.nn.ModuleList(_layers(shape))
        self.dropout = torch.nn.Dropout(shape.dropout)
        self.readout = torch.nn.Linear(len(table) * shape.leaving, 1)
        with torch.no_grad():  # so that the training begins near a constant
            self.readout.weight.mul_(0.1)
            self.readout.bias.zero_()
        self._row_values = len(table) * (table.shape[1] + 1) * shape.leaving

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float[n] of float32[n, f]."""
        nodes = self._on_cpu(x) if x.device.type == "cpu" else self._on_gpu(x)
        found: torch.Tensor = self.readout(self.dropout(nodes))[:, 0]
        return found

    def _on_cpu(self, x: torch.Tensor) -> torch.Tensor:
        """float32[n, f * width]: all nodes behind the layers, by the passes of models/networks/graphpasses.py."""
        named = [dict(layer.named_parameters()) for layer in self.layers]
        stack = Stack(OrderedGraph.of(self.neighbours.numpy()), PASSES[type(self.layers[0])], [*map(list, named)])
        weights = [weight for layer in named for weight in layer.values()]
        found: torch.Tensor = LayersOnCpu.apply(x, stack, self.embedding, *weights)
        return found

    def _on_gpu(self, x: torch.Tensor) -> torch.Tensor:
        """The same in operations of torch alone."""
        rows = max(1, CHUNK_VALUES // self._row_values)
        graph = Graph.of(self.neighbours)
        return torch.cat([self._again(part, graph) for part in x.split(rows)])

    def _again(self, x: torch.Tensor, graph: Graph) -> torch.Tensor:
        """The nodes, computed anew when their gradient is asked for; nothing in there is random."""
        if not torch.is_grad_enabled():
            return self._nodes(x, graph)
        found: torch.Tensor = checkpoint(self._nodes, x, graph, use_reentrant=False, preserve_rng_state=False)
        return found

    def _nodes(self, x: torch.Tensor, graph: Graph) -> torch.Tensor:
        """float[n, f * width]: all nodes behind the layers.

        In there the features come first: what is gathered for one of them lies side by side, for all rows.
        """
        hidden = x.T[:, :, None] * self.embedding[:, None]
        for layer in self.layers:
            hidden = layer(hidden, graph).relu_()
        return hidden.transpose(0, 1).flatten(1)


PASSES = {AttentionLayer: attention_layer, SumLayer: sum_layer}
"""A layer on the processor."""


def graph_network(table: Table, shape: GraphShape) -> Network:
    """The network over this graph, for the training loop."""
    return Network(lambda: GraphNetwork(table, shape), SquaredError(), last=lambda made: made.readout)


def _layers(shape: GraphShape) -> list[torch.nn.Module]:
    inputs = [shape.width, *[shape.leaving] * (shape.layers - 1)]
    if shape.heads:
        return [AttentionLayer(size, shape.width, shape.heads) for size in inputs]
    return [SumLayer(size, shape.width) for size in inputs]


def _summed(x: torch.Tensor, factor: torch.Tensor, graph: Graph) -> torch.Tensor:
    """Nothing as large as all edges is held: each node's neighbours are added as they are read."""
    flat = x.flatten(1)
    total = torch.nn.functional.embedding_bag(graph.neighbours, flat, graph.begins, mode="sum")
    return total.addcmul_(flat, factor.to(x.dtype)).view_as(x)


def _gathered(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """float[f, s, n, h]: what the table names, of float[f, n, h]; where it names none, feature 0."""
    return x.index_select(0, table.clamp(min=0).flatten()).unflatten(0, tuple(table.shape))


def _linear(inputs: int, outputs: int, bias: bool = True) -> Any:
    """Glorot's initialisation, as torch-geometric has it."""
    layer = torch.nn.Linear(inputs, outputs, bias)
    _glorot(layer.weight)
    if bias:
        torch.nn.init.zeros_(layer.bias)
    return layer


def _glorot(tensor: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = torch.nn.init.xavier_uniform_(tensor)
    return found
