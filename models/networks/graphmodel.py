"""Networks over the graph of correlated features: trained with torch, predicted with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from models.base.ranges import Range
from models.base.rows import TrainingRows
from models.networks import updateranges
from models.networks.featuregraph import EDGES, Table, edge_list, feature_graph
from models.networks.grapharrays import attention_forward, sum_forward
from models.networks.graphshape import GraphShape
from models.networks.networkmodel import NetworkModel
from models.networks.parameters import SHARE, WHOLE, Accepted

if TYPE_CHECKING:
    from models.networks.network import Network

# Of both kinds. Four neighbours, two layers, and a node's width behind them are those of the prototypes; a dropout of
# one half is what served the mlp.
DEFAULTS: dict[str, Any] = {
    "edges": "correlation",
    "neighbours": 4,
    "layers": 2,
    "dropout": 0.5,
}
ACCEPTED: dict[str, Accepted] = {
    "edges": (lambda v: v in EDGES, "correlation, shuffled or none"),
    "neighbours": WHOLE,
    "layers": WHOLE,
    "width": WHOLE,
    "dropout": SHARE,
}


class GraphModel(NetworkModel):
    """Nodes are features; an edge joins two that are correlated in the rows learnt from. Squared error.

    Each feature has an embedding, which its value multiplies; the layers' weights serve all features. One graph serves
    all rows and is stored with the weights. `edges="shuffled"` and `edges="none"` are the controls.

    For each thread, a piece of 256 rows holds about 3 KiB x features x (width of a node).
    """

    starting_points: ClassVar[tuple[Mapping[str, Any], ...]] = ({"updates": 200}, {"updates": 200, "neighbours": 8})

    @staticmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """See `models.base.searched.Searched`."""
        neighbours = Range("neighbours", 1, 12, "each asks for so many; four were tried", integer=True)
        return (
            *updateranges.of_training(known["learning_rate"]),
            updateranges.dropout(0.1, 0.7),
            Range("width", 4, 32, "of an embedding; time grows with it", integer=True),
            Range("layers", 1, 3, "how far a feature sees; after three all nodes are alike", log=False, integer=True),
            *((neighbours,) if known["edges"] != "none" else ()),
        )

    _table: Table

    @property
    def feature_edges(self) -> tuple[tuple[int, int], ...]:
        """The edges of the graph, each pair once and ascending, by positions among the columns that are used."""
        pairs = edge_list(self._weights["neighbours"].astype(np.int64)).T
        return tuple(sorted((one, other) for one, other in pairs.tolist() if one < other))

    def _prepare(self, rows: TrainingRows, seed: int) -> None:
        self._table = feature_graph(rows, self.params["edges"], self.params["neighbours"], seed)

    def _network(self, n_features: int) -> Network:
        from models.networks.graphnetwork import graph_network  # it needs torch

        return graph_network(self._table, _shape(self.params))


class GatV2Model(GraphModel):
    """Attention over the neighbours: GATv2."""

    kind = "gatv2"
    defaults: ClassVar[Mapping[str, Any]] = {"width": 8, "heads": 2, **DEFAULTS}
    accepted: ClassVar[Mapping[str, Accepted]] = {"heads": WHOLE, **ACCEPTED}
    _forward = staticmethod(attention_forward)


class GinModel(GraphModel):
    """A perceptron on the sum of a feature and its neighbours: the graph isomorphism network."""

    kind = "gin"
    defaults: ClassVar[Mapping[str, Any]] = {"width": 16, **DEFAULTS}
    accepted: ClassVar[Mapping[str, Accepted]] = ACCEPTED
    _forward = staticmethod(sum_forward)


def attention_weight_count(params: Mapping[str, Any], columns: int) -> int:
    """How many weights gatv2 has with these params on so many columns; torch is not needed."""
    shape = _shape(GatV2Model.usable(params))
    leaving = shape.leaving
    inputs = [shape.width, *[leaving] * (shape.layers - 1)]
    return _outer_weights(shape, columns) + sum(3 * size * leaving + 4 * leaving for size in inputs)


def sum_weight_count(params: Mapping[str, Any], columns: int) -> int:
    """How many weights gin has; see `attention_weight_count`."""
    shape = _shape(GinModel.usable(params))
    layer = 2 * shape.width * (shape.width + 1) + 1
    return _outer_weights(shape, columns) + shape.layers * layer


def _outer_weights(shape: GraphShape, columns: int) -> int:
    """Of the embedding and of the last layer."""
    return columns * (shape.width + shape.leaving) + 1


def _shape(params: Mapping[str, Any]) -> GraphShape:
    return GraphShape(params["width"], params["layers"], params.get("heads", 0), params["dropout"])
