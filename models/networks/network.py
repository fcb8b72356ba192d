"""What the file of a model gives to the training loop, and what passes between the loop and a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from eraflow.errors import EraflowError


class UnseededRandomnessError(EraflowError):
    """A module draws from torch's global generator, so its training cannot be repeated.

    Use `torch.nn.Dropout`, which the loop seeds, or draw from the `generator` that the loop gives to a module; see
    `Network`.
    """

    code = "unseeded_randomness"


class OutputShapeError(EraflowError):
    """A module gave another shape than its loss compares with the target. Correct the module's last layer."""

    code = "output_shape"


@dataclass(frozen=True)
class Piece:
    """A part of a batch, as the loss sees it.

    Attributes:
        targets: float32[m] or [m, k]; NaN where a target is not known, which happens in whole eras only.
        offsets: int64[e + 1], where the piece consists of whole eras: era i is rows offsets[i]:offsets[i + 1]; else
            None.
    """

    targets: torch.Tensor
    offsets: torch.Tensor | None


@dataclass(frozen=True)
class Judged:
    """What a loss says of a piece.

    Attributes:
        total: the sum of the losses, a scalar that can be derived. The gradient of a batch is that of the sum of its
            totals over the sum of its counts.
        count: of how many losses `total` is the sum: rows, or eras.
        predictions: float[n], to see whether the network predicts a constant.
    """

    total: torch.Tensor
    count: int
    predictions: torch.Tensor


class Loss(Protocol):
    """Judges what a module gives.

    Attributes:
        constant: the mean loss of the best constant prediction; None when it is not known.
    """

    @property
    def constant(self) -> float | None:
        """See the class."""

    def __call__(self, output: torch.Tensor, piece: Piece) -> Judged:
        """The loss of a piece; `output` is what the module gave, in the precision in which it was computed."""


@dataclass(frozen=True)
class Network:
    """A model as the training loop takes it.

    The loop calls copies of the module from several threads, each with parameters of its own over the same storage; so
    a module may keep nothing between two calls but in its buffers. What a batch's pieces make of the buffers is
    averaged over its rows.

    Everything random in `forward` must come from a `torch.nn.Dropout`, or be drawn from the attribute `generator` that
    a module declares (set it to None when it is made): the loop puts a torch.Generator there before each piece.

    Attributes:
        make: gives a new module; it is called once, with torch's global generator seeded for this fit.
        loss: what is minimised.
        takes_offsets: whether the module is called with x and the offsets of the eras, int64[e + 1], instead of x
            alone; only with batches of whole eras. x is float32[m, f], standardised codes (models/networks/inputs.py).
        last: gives the module's last layer, whose input the heads of further targets read (see
            models/networks/furtherheads.py); None: it learns one target.
    """

    make: Callable[[], torch.nn.Module]
    loss: Loss
    takes_offsets: bool = False
    last: Callable[[Any], torch.nn.Module] | None = None
