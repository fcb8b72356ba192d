"""What the training loop asks of the place where it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from models.base.protocol import Codes
from models.networks.batches import Numbers
from models.networks.inputs import CENTRE, SCALE
from models.networks.network import Judged, Network, Piece

Result = TypeVar("Result")


@dataclass
class InFlight:
    """What is computed at once.

    Attributes:
        rows: of a piece.
        pieces: at the same time, each in a thread.
        least_rows: pieces are not made smaller than this.
    """

    rows: int
    pieces: int
    least_rows: int

    def halve(self) -> bool:
        """Half as many pieces, or smaller ones where one is computed at a time; False when there is nothing left."""
        if self.pieces > 1:
            self.pieces //= 2
        elif self.rows > self.least_rows:
            self.rows = max(self.rows // 2, self.least_rows)
        else:
            return False
        return True


class Device(Protocol):
    """Where a training computes.

    Attributes:
        processes: how many train together.
        process: the number of this one.
        leads: whether it is the one that writes checkpoints.
    """

    processes: int
    process: int
    leads: bool

    def in_flight(self, largest_piece: Callable[[int], int]) -> InFlight:
        """What is computed at once at first; `largest_piece`: from the rows of a piece to the most that one has."""

    def rows_that_fit(self, flight: InFlight, compute: Callable[[int], object]) -> int:
        """Rows of a piece that its memory takes; `compute` passes a piece of so many rows once, for a measurement."""

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """Move the module there."""

    def prepare(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimiser as it is to be stepped."""

    def tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """The array as a tensor there."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The forward pass happens in it, in the plan's precision."""

    def generator(self, seed: int) -> torch.Generator:
        """A generator there."""

    def share(self, batch: Numbers) -> Numbers:
        """The part of a batch that this process computes."""

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss, enlarged where small gradients would vanish in the precision."""

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Take that back from the gradients of the optimiser's parameters."""

    def overflowed(self, norm: float) -> bool:
        """Whether such a gradient comes from too high a scale: the optimiser's step then does nothing but lower it."""

    def jointly(self, work: Callable[[], Result]) -> Result:
        """What `work` gives in this process, once it has ended well in all of them.

        Whatever can fail in one process alone belongs in here, and nothing in which processes wait for each other: so
        none goes on to wait for one that has failed.

        Raises:
            OtherProcessError: it failed in another process. What fails in this one is passed on.
        """

    def agreed(self, value: float) -> float:
        """One figure for all processes, the mean of theirs: GPUs of several makes differ by rounding."""

    def summed(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """The sums over all processes."""

    def release_memory(self) -> None:
        """Give back what an attempt that ran out of memory has left."""

    def random_state(self) -> torch.Tensor:
        """The state of torch's global generators; no module may change it."""

    def state(self) -> dict[str, Any]:
        """What of the device belongs into a checkpoint."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""


def piece_seed(*numbers: int) -> int:
    """The seed of all that is random in a piece, from what tells it from all others: the same in every attempt."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def judged_on(
    device: Device,
    network: Network,
    module: torch.nn.Module,
    codes: Codes,
    targets: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.int64] | None,
) -> Judged:
    """What a network's loss says of some rows.

    Args:
        device: where it is computed.
        network: how the module is called and judged.
        module: the module, or a copy of it.
        codes: int8[m, f].
        targets: float32[m] or [m, k]; see `Piece`.
        offsets: of the eras, where the rows consist of whole ones; else None.
    """
    x = device.tensor(codes).to(torch.float32).sub_(CENTRE).mul_(SCALE)
    eras = None if offsets is None else device.tensor(offsets)
    with device.autocast():
        output = module(x, eras) if network.takes_offsets else module(x)
    return network.loss(output, Piece(device.tensor(targets), eras))
