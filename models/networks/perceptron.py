"""The module of the mlp, and what the training loop needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from models.networks.losses import SquaredError
from models.networks.network import Network


def perceptron(n_features: int, hidden: Sequence[int], dropout: float) -> torch.nn.Sequential:
    """Layers of linear, layer normalisation, ReLU and dropout, then one number a row.

    He's initialisation; the last layer is small, so that the training begins near a constant.
    """
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise([n_features, *hidden]):
        norm = torch.nn.LayerNorm(outputs)
        layers += [linear(inputs, outputs, 1.0), norm, torch.nn.ReLU(), torch.nn.Dropout(dropout)]
    return torch.nn.Sequential(*layers, linear(hidden[-1], 1, 0.1), torch.nn.Flatten(0))


def perceptron_network(n_features: int, hidden: Sequence[int], dropout: float) -> Network:
    """The mlp for the training loop."""
    return Network(lambda: perceptron(n_features, hidden, dropout), SquaredError(), last=lambda made: made[-2])


def linear(inputs: int, outputs: int, scale: float) -> torch.nn.Linear:
    """A linear layer: He's initialisation times `scale`, no shift."""
    layer = torch.nn.Linear(inputs, outputs)
    torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        layer.weight.mul_(scale)
    return layer
