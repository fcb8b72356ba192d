"""Losses that more than one network uses."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.networks.network import Judged, OutputShapeError, Piece


@dataclass(frozen=True)
class SquaredError:
    """The squared error of one prediction a row; rows without a known target do not count.

    Attributes:
        constant: 1, for a target of mean 0 and variance 1.
    """

    constant: float | None = 1.0

    def __call__(self, output: torch.Tensor, piece: Piece) -> Judged:
        """See `models.networks.network.Loss`; `output` float[m].

        Raises:
            OutputShapeError: it has another shape; torch would compare every prediction with every target.
        """
        predictions, targets = output.float(), piece.targets
        if predictions.shape != targets.shape:
            raise OutputShapeError(
                f"the module gave {list(predictions.shape)} for {list(targets.shape)} targets",
                "let it give one number a row, without further dimensions",
            )
        if piece.offsets is not None:
            known = ~targets.isnan()
            predictions, targets = predictions[known], targets[known]
        return Judged((predictions - targets).square().sum(), len(targets), predictions)
