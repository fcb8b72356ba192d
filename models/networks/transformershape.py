"""How large a transformer is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """How large a transformer is.

    Attributes:
        width: of a token, a multiple of `heads`.
        layers: of the encoder.
        heads: of its attention.
        feedforward: units of each layer's perceptron.
        dropout: share of the units that are dropped while it is trained.
    """

    width: int
    layers: int
    heads: int
    feedforward: int
    dropout: float
