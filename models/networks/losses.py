"""Losses that more than one network uses."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch

from models.networks.network import Judged, Loss, OutputShapeError, Piece

LEAST_VARIANCE = 1e-12
"""Of the predictions of an era: below it their correlation with anything is 0."""


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


@dataclass(frozen=True)
class WithCorrelation:
    """Another loss, mixed with one less the correlation of predictions and target in each era.

    Both are 1 for a constant prediction of a standardised target. The pieces are whole eras; each era counts as many
    rows as it has. The correlation is Pearson's with the target as it is, not Numerai's CORR, which has no gradient.

    Attributes:
        base: the other loss; it is the mean over the piece that is mixed.
        share: of the correlation, above 0, at most 1.
    """

    base: Loss
    share: float

    @property
    def constant(self) -> float | None:
        """That of `base`, mixed."""
        return None if self.base.constant is None else self.share + (1 - self.share) * self.base.constant

    def __call__(self, output: torch.Tensor, piece: Piece) -> Judged:
        """See `models.networks.network.Loss`.

        Raises:
            OutputShapeError: `base` gives another number of predictions than there are known targets.
        """
        judged = self.base(output, piece)
        bounds = [0, len(piece.targets)] if piece.offsets is None else piece.offsets.tolist()
        known = ~piece.targets.isnan()
        counts = [int(known[start:stop].sum()) for start, stop in pairwise(bounds)]
        targets = piece.targets[known]
        predictions = judged.predictions.float()
        if predictions.shape[:1] != targets.shape:
            raise OutputShapeError(
                f"the loss took {list(predictions.shape)} for the predictions of {len(targets)} rows",
                "set correlation_share=0, or let it give one prediction a row",
            )
        eras = zip(predictions.split(counts), targets.split(counts), counts, strict=True)
        lacking = torch.stack([(1 - _correlation(mine, wanted)) * count for mine, wanted, count in eras if count])
        rest = judged.total * (len(targets) / judged.count) if self.share < 1 else judged.total.new_zeros(())
        total = self.share * lacking.sum() + (1 - self.share) * rest
        return Judged(total, len(targets), judged.predictions)


def _correlation(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Pearson's, 0 where one of them is constant; its gradient is finite there."""
    mine, wanted = predictions - predictions.mean(), targets - targets.mean()
    scale = (mine.square().mean() * wanted.square().mean() + LEAST_VARIANCE).sqrt()
    return (mine * wanted).mean() / scale
