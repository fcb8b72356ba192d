"""The module of the autoencoder, its loss, and what the training loop needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.networks.losses import SquaredError
from models.networks.network import Judged, Network, OutputShapeError, Piece
from models.networks.perceptron import linear, perceptron


class SupervisedAutoencoder(torch.nn.Module):
    """A perceptron on the features and on a code of them, which a decoder must be able to read.

    The code is made of the features with noise, the perceptron sees them as they are. Code, decoder and perceptron are
    trained together, so the code keeps what the features have in common and what the target needs.

    Args:
        n_features: of the input.
        hidden: sizes of the perceptron's hidden layers.
        code: numbers in the code.
        noise: standard deviation of the noise, in those of a feature; only while it is trained.
        dropout: share of the perceptron's units that are dropped while it is trained.
    """

    def __init__(self, n_features: int, hidden: Sequence[int], code: int, noise: float, dropout: float) -> None:
        super().__init__()
        self.encoder = torch.nn.Sequential(linear(n_features, code, 1.0), torch.nn.LayerNorm(code), torch.nn.ReLU())
        self.head = perceptron(n_features + code, hidden, dropout)
        self.decoder = linear(code, n_features, 0.1)
        self.noise = noise
        self.generator: torch.Generator | None = None  # the loop sets it; see `models.networks.network.Network`

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32[m, 2]: of each row the prediction, and the mean squared error of its features from the code.

        Args:
            x: float32[m, f].
        """
        code = self.encoder(self._noisy(x))
        error = (self.decoder(code).float() - x).square().mean(dim=1)
        return torch.stack([self.head(torch.cat([x, code], dim=1)).float(), error], dim=1)

    def _noisy(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.noise == 0:
            return x
        return x + self.noise * torch.empty_like(x).normal_(generator=self.generator)


@dataclass(frozen=True)
class PredictionAndReconstruction:
    """The squared error of the prediction, and with a weight that of the features that were read from the code.

    Rows without a known target count in neither.

    Attributes:
        weight: of the second.
        constant: not known: how much of the features a constant explains depends on their distribution.
    """

    weight: float
    constant: float | None = None

    def __call__(self, output: torch.Tensor, piece: Piece) -> Judged:
        """See `models.networks.network.Loss`; `output` float[m, 2] of a `SupervisedAutoencoder`.

        Raises:
            OutputShapeError: it has another shape.
        """
        if output.shape != (*piece.targets.shape, 2):
            raise OutputShapeError(
                f"the module gave {list(output.shape)} for {list(piece.targets.shape)} targets",
                "let it give a prediction and an error of its features for each row",
            )
        predictions, errors = output.float().unbind(dim=1)
        judged = SquaredError()(predictions, piece)
        known = errors if piece.offsets is None else errors[~piece.targets.isnan()]
        return Judged(judged.total + self.weight * known.sum(), judged.count, judged.predictions)


def autoencoder_network(
    n_features: int, hidden: Sequence[int], *, code: int, noise: float, dropout: float, reconstruction: float
) -> Network:
    """The autoencoder for the training loop; `reconstruction` is the weight of the features' error."""
    return Network(
        lambda: SupervisedAutoencoder(n_features, hidden, code, noise, dropout),
        PredictionAndReconstruction(reconstruction),
        last=lambda made: made.head[-2],
    )
