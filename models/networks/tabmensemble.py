"""The module of the tabm, its loss, and what the training loop needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.networks.network import Judged, Network, OutputShapeError, Piece
from models.networks.tabmlibrary import tabm_library
from models.networks.tabmshape import TabmShape


@dataclass(frozen=True)
class MeanOfSquaredErrors:
    """The mean of the squared errors of k predictions a row; rows without a known target do not count.

    Each of the k networks learns the target by itself. The error of their mean would let them make up for each other.

    Attributes:
        constant: 1, for a target of mean 0 and variance 1.
    """

    constant: float | None = 1.0

    def __call__(self, output: torch.Tensor, piece: Piece) -> Judged:
        """See `models.networks.network.Loss`; `output` float[m, k, 1]. What is judged further is the mean of the k.

        Raises:
            OutputShapeError: it has another shape.
        """
        if output.ndim != 3 or output.shape[::2] != (*piece.targets.shape, 1):
            raise OutputShapeError(
                f"the module gave {list(output.shape)} for {list(piece.targets.shape)} targets",
                "let it give several predictions of one number a row",
            )
        predictions, targets = output.float().squeeze(2), piece.targets
        if piece.offsets is not None:
            known = ~targets.isnan()
            predictions, targets = predictions[known], targets[known]
        errors = (predictions - targets[:, None]).square().mean(dim=1)
        return Judged(errors.sum(), len(targets), predictions.mean(dim=1))


def tabm_network(n_features: int, shape: TabmShape) -> Network:
    """The tabm for the training loop.

    Raises:
        MissingLibraryError: the package tabm is not installed.
    """
    library = tabm_library()

    def make() -> torch.nn.Module:
        module: torch.nn.Module = library.TabM.make(
            n_num_features=n_features,
            d_out=1,
            k=shape.k,
            n_blocks=shape.layers,
            d_block=shape.width,
            dropout=shape.dropout,
        )
        return module

    return Network(make, MeanOfSquaredErrors(), last=lambda made: made.output)
