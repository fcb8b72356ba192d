"""The module of the variational autoencoder, its loss, and what the training loop needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from models.compression.vaearrays import LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE
from models.networks.network import Judged, Network, OutputShapeError, Piece
from models.networks.perceptron import linear


class VariationalAutoencoder(torch.nn.Module):
    """A code of the features that is a normal distribution for each row, and a decoder that reads a draw from it.

    Everything random is drawn from the generator that the loop gives; the weight of the divergence rises with the
    updates that the module has seen, which it counts in a buffer, so that a training that goes on from a checkpoint
    goes on with the same weight.

    Args:
        n_features: of the input.
        hidden: sizes of the encoder's hidden layers; the decoder has them in reverse.
        code: numbers in the code.
        beta: weight of the divergence once it has risen.
        warmup: updates over which it rises, in equal steps.
    """

    def __init__(self, n_features: int, hidden: Sequence[int], code: int, beta: float, warmup: int) -> None:
        super().__init__()
        self.encoder = _layers([n_features, *hidden])
        self.mean = linear(hidden[-1], code, 0.5)
        self.spread = linear(hidden[-1], code, 0.1)
        self.decoder = _layers([code, *reversed(hidden)])
        self.decoder.append(linear(hidden[0], n_features, 0.1))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64), persistent=False)
        self.updates: torch.Tensor
        self.beta, self.warmup = beta, warmup
        self.generator: torch.Generator | None = None  # the loop sets it; see `models.networks.network.Network`

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32[m, 2]: of each row half the squared error of its features and the weighted divergence of its code.

        Both are divided by the number of features, so that rates and norms mean the same for any width.

        Args:
            x: float32[m, f].
        """
        inner = self.encoder(x)
        means = self.mean(inner).float()
        spread = self.spread(inner).float().clamp(LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE)
        error = (self.decoder(self._drawn(means, spread)).float() - x).square().sum(dim=1) / 2
        apart = (means.square() + spread.exp() - 1 - spread).sum(dim=1) / 2
        parts = torch.stack([error, self._weight() * apart], dim=1) / x.shape[1]
        if self.training:
            self.updates += 1
        return parts

    def _drawn(self, means: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return means
        return means + (spread / 2).exp() * torch.empty_like(means).normal_(generator=self.generator)

    def _weight(self) -> torch.Tensor:
        return self.beta * ((self.updates + 1) / max(1, self.warmup)).clamp(max=1.0)


@dataclass(frozen=True)
class EvidenceBound:
    """The negative evidence lower bound of the rows, with the divergence weighted, for a feature.

    Attributes:
        constant: not known: how much of the features a constant explains depends on their distribution.
    """

    constant: float | None = None

    def __call__(self, output: torch.Tensor, piece: Piece) -> Judged:
        """See `models.networks.network.Loss`; `output` float[m, 2] of a `VariationalAutoencoder`.

        What is watched in place of predictions are the errors: they differ from row to row even where the code has
        collapsed, which is named by who looks at the code itself.

        Raises:
            OutputShapeError: it has another shape.
        """
        if output.shape != (len(piece.targets), 2):
            raise OutputShapeError(
                f"the module gave {list(output.shape)} for {len(piece.targets)} rows",
                "let it give an error of its features and a divergence of its code for each row",
            )
        parts = output.float()
        return Judged(parts.sum(), len(parts), parts[:, 0])


def vae_network(n_features: int, hidden: Sequence[int], *, code: int, beta: float, warmup: int) -> Network:
    """The variational autoencoder for the training loop."""
    return Network(lambda: VariationalAutoencoder(n_features, hidden, code, beta, warmup), EvidenceBound())


def _layers(sizes: Sequence[int]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [linear(inputs, outputs, 1.0), torch.nn.LayerNorm(outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers)
