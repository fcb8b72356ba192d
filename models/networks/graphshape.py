"""How large a network over the graph of features is."""

from __future__ import annotations

from dataclasses import dataclass

SLOPE = 0.2
"""Of the leaky ReLU within the attention; the default of torch-geometric's GATv2Conv."""


@dataclass(frozen=True)
class GraphShape:
    """How large a network over the graph of features is.

    Attributes:
        width: of an embedding, and of a head or of a layer without heads.
        layers: how often a node hears of its neighbours.
        heads: of the attention; 0: nodes are summed, there is no attention.
        dropout: share of the nodes' values that are dropped before the last layer while it is trained.
    """

    width: int
    layers: int
    heads: int
    dropout: float

    @property
    def leaving(self) -> int:
        """Values of a node behind a layer."""
        return self.width * max(self.heads, 1)
