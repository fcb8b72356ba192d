"""Training on the processor."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy.typing as npt
import torch

from eraflow.machine.plan import MIN_BATCH_ROWS, Plan
from models.networks.batches import Numbers
from models.networks.device import InFlight, Result

CPU_PIECE_ROWS = MIN_BATCH_ROWS


class Cpu:
    """The processor: pieces of 256 rows or of one era, whatever the plan says, and as many at once as it allows."""

    processes, process, leads = 1, 0, True

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._type = getattr(torch, plan.precision)

    def in_flight(self, largest_piece: Callable[[int], int]) -> InFlight:
        """See `Device`."""
        pieces = max(1, min(self._plan.threads, self._plan.batch_rows // largest_piece(CPU_PIECE_ROWS)))
        return InFlight(CPU_PIECE_ROWS, pieces, CPU_PIECE_ROWS)

    def rows_that_fit(self, flight: InFlight, compute: Callable[[int], object]) -> int:
        """See `Device`; pieces are the same whatever the memory."""
        return flight.rows

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """See `Device`."""
        return module

    def prepare(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """See `Device`."""
        return optimizer

    def tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """See `Device`."""
        return torch.from_numpy(array)

    def autocast(self) -> AbstractContextManager[Any]:
        """See `Device`."""
        low = self._type != torch.float32
        context: AbstractContextManager[Any] = torch.autocast("cpu", dtype=self._type if low else None, enabled=low)
        return context

    def generator(self, seed: int) -> torch.Generator:
        """See `Device`."""
        return torch.Generator().manual_seed(seed)

    def share(self, batch: Numbers) -> Numbers:
        """See `Device`."""
        return batch

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """See `Device`."""
        return loss

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """See `Device`."""

    def overflowed(self, norm: float) -> bool:
        """See `Device`."""
        return False

    def jointly(self, work: Callable[[], Result]) -> Result:
        """See `Device`."""
        return work()

    def agreed(self, value: float) -> float:
        """See `Device`."""
        return value

    def summed(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `Device`."""
        return tensors

    def release_memory(self) -> None:
        """See `Device`; what no circle of references holds was given back already."""
        gc.collect()

    def random_state(self) -> torch.Tensor:
        """See `Device`."""
        return torch.get_rng_state()

    def state(self) -> dict[str, Any]:
        """See `Device`."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Device`."""
