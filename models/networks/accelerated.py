"""Training on GPUs through Hugging Face Accelerate: devices, mixed precision, several processes.

This module is imported only where there is a GPU. Processes are counted, not started: under a launcher that starts one
for each GPU (`accelerate launch`, `torchrun`), each computes its share of a batch's pieces, and the gradients are
added; the child of a stage is one process and uses one GPU. All processes decide by the same figures, so they take the
same steps and end together, and what fails in one of them ends the others by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eraflow.errors import EraflowError
from eraflow.machine.plan import MIN_BATCH_ROWS, Plan
from models.base.libraries import needed
from models.networks.batches import Numbers
from models.networks.device import InFlight, Result
from models.networks.vramprobe import gpu_free, gpu_peak, rows_that_fit

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
LEAST_SCALE = 1.0
"""A gradient that is not finite below this scale has another reason than the scale."""


class OtherProcessError(EraflowError):
    """Another process of the same training failed or is gone, so this one ends, too. The other one's log says why."""

    code = "other_process"


class Accelerated:
    """The device that Accelerate finds; see `models.networks.device.Device`.

    Other pieces give the same update up to rounding, and drop out other units.

    Args:
        plan: `batch_rows` go through the module at once, in its precision.
        accelerator: an Accelerator; None makes one.

    Raises:
        MissingLibraryError: Accelerate is not installed.
    """

    def __init__(self, plan: Plan, accelerator: Any = None) -> None:
        self._plan = plan
        self._accelerator = _accelerator(plan) if accelerator is None else accelerator
        self.processes, self.process = self._accelerator.num_processes, self._accelerator.process_index
        self.leads = bool(self._accelerator.is_main_process)

    def in_flight(self, largest_piece: Callable[[int], int]) -> InFlight:
        """See `Device`."""
        return InFlight(self._plan.batch_rows, 1, min(MIN_BATCH_ROWS, self._plan.batch_rows))

    def rows_that_fit(self, flight: InFlight, compute: Callable[[int], object]) -> int:
        """See `Device`; several processes cut their pieces alike, by the plan."""
        device = self._accelerator.device
        if device.type != "cuda" or self.processes > 1:
            return flight.rows
        return rows_that_fit(
            lambda rows: gpu_peak(lambda: compute(rows), device),
            gpu_free(device),
            least=flight.least_rows,
            most=flight.rows,
        )

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """See `Device`."""
        return module.to(self._accelerator.device)

    def prepare(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """See `Device`."""
        return self._accelerator.prepare(optimizer)

    def tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """See `Device`."""
        return torch.from_numpy(array).to(self._accelerator.device)

    def autocast(self) -> AbstractContextManager[Any]:
        """See `Device`."""
        context: AbstractContextManager[Any] = self._accelerator.autocast()
        return context

    def generator(self, seed: int) -> torch.Generator:
        """See `Device`."""
        return torch.Generator(device=self._accelerator.device).manual_seed(seed)

    def share(self, batch: Numbers) -> Numbers:
        """See `Device`."""
        part: Numbers = np.array_split(batch, self.processes)[self.process]
        return part

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """See `Device`."""
        scaler = self._accelerator.scaler
        return loss if scaler is None else scaler.scale(loss)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """See `Device`."""
        self._accelerator.unscale_gradients(optimizer)

    def overflowed(self, norm: float) -> bool:
        """See `Device`."""
        scaler = self._accelerator.scaler
        return scaler is not None and not norm < float("inf") and scaler.get_scale() > LEAST_SCALE

    def jointly(self, work: Callable[[], Result]) -> Result:
        """See `Device`."""
        if self.processes == 1:
            return work()
        try:
            result = work()
        except Exception:
            with suppress(OtherProcessError):  # it has failed as well
                self._failures(1)
            raise
        if self._failures(0):
            raise OtherProcessError(
                f"another of the {self.processes} processes that train together failed, so process {self.process} ends",
                "look into the log of the other process, mend what failed there, and start all of them again",
            )
        return result

    def _failures(self, mine: int) -> int:
        """In how many processes something failed."""
        (found,) = self.summed([torch.tensor([mine], device=self._accelerator.device)])
        return int(found)

    def agreed(self, value: float) -> float:
        """See `Device`."""
        if self.processes == 1:
            return value
        (total,) = self.summed([torch.tensor([value], dtype=torch.float64, device=self._accelerator.device)])
        mean: float = float(total) / self.processes
        return mean

    def summed(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `Device`.

        Raises:
            OtherProcessError: another process is gone.
        """
        try:
            return list(self._accelerator.reduce(tensors, reduction="sum"))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # gloo's and NCCL's errors have no other class in common
            raise OtherProcessError(
                f"process {self.process} of {self.processes} that train together cannot reach the others "
                f"({str(error).splitlines()[0]})",
                "look into the logs of the other processes, mend what ended them, and start all of them again",
            ) from error

    def release_memory(self) -> None:
        """See `Device`."""
        from accelerate.utils import release_memory

        release_memory()

    def random_state(self) -> torch.Tensor:
        """See `Device`."""
        state = torch.get_rng_state()
        if self._accelerator.device.type != "cuda":
            return state
        return torch.cat([state, torch.cuda.get_rng_state(self._accelerator.device)])

    def state(self) -> dict[str, Any]:
        """See `Device`: the scale of the gradients, in half precision."""
        scaler = self._accelerator.scaler
        return {} if scaler is None else {"scaler": scaler.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Device`."""
        scaler = self._accelerator.scaler
        if scaler is not None and state.get("scaler"):
            scaler.load_state_dict(state["scaler"])


def _accelerator(plan: Plan) -> Any:
    with needed("training on a GPU", "accelerate", "set machine.device=cpu"):
        from accelerate import Accelerator
    return Accelerator(mixed_precision=PRECISIONS[plan.precision])
