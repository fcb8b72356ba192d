"""The gradient of a batch, piece by piece, so that memory is bounded and the sum does not depend on the threads."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from eraflow.machine.failures import classify
from models.base.protocol import Codes
from models.networks.batches import Batches, Numbers, PieceRows
from models.networks.device import Device, judged_on, piece_seed
from models.networks.modulecopy import ModuleCopy, trained
from models.networks.network import Network

Result = TypeVar("Result")

log = logging.getLogger("eraflow.networks")


class Rows(Protocol):
    """What is learnt from: TrainingRows or EraRows."""

    def take(self, numbers: Numbers) -> Codes:
        """int8[m, f]: a copy of the rows with these numbers."""


@dataclass
class Sums:
    """Sums over the pieces of a batch, or over the batches of an epoch.

    Attributes:
        loss: of the losses.
        count: how many those are.
        variation: squared distances of the predictions from their mean in their piece.
        rows: how many predictions.
    """

    loss: float = 0.0
    count: float = 0.0
    variation: float = 0.0
    rows: float = 0.0

    def add(self, other: Sums) -> None:
        """Take in other sums."""
        self.loss += other.loss
        self.count += other.count
        self.variation += other.variation
        self.rows += other.rows

    @property
    def mean_loss(self) -> float:
        """Mean of the losses."""
        return self.loss / self.count

    @property
    def spread(self) -> float:
        """Standard deviation of the predictions, each around the mean of its piece; that of the target is 1."""
        return math.sqrt(self.variation / self.rows)

    def as_dict(self) -> dict[str, float]:
        """For a checkpoint; `Sums(**values)` is the way back."""
        return asdict(self)


@dataclass(frozen=True)
class _Result:
    """What one piece gives."""

    sums: Sums
    gradients: Sequence[torch.Tensor | None]  # of the summed loss
    changes: Sequence[torch.Tensor | None]  # of the buffers


_Part = tuple[Sums, list[torch.Tensor | None], list[torch.Tensor]]
"""The sums of some pieces, the gradients of the parameters, and the changes of the buffers times the rows."""


class BatchGradient:
    """Computes the gradients of batches.

    When memory does not suffice, the batch is computed anew with half of the rows at once, and so are the ones after
    it; the update stays that of the whole batch. On the CPU the pieces stay the same, and only fewer of them are
    computed at the same time, so not a bit changes. When only one piece is left to compute at once, the error is
    passed on, and the next plan has the answer.

    Attributes:
        in_flight: what is computed at once.
        smallest_piece: rows of a piece, once they were halved for want of memory; None before. It has changed bits.

    Args:
        network: how the module is called and judged.
        module: the module, on the device.
        rows: what is learnt from.
        targets: float32[n] or [n, k] of these rows.
        batches: how batches are cut.
        device: where it is computed.
        seed: what is dropped out is drawn from it, the update and the position of the piece.
    """

    def __init__(
        self,
        network: Network,
        module: torch.nn.Module,
        rows: Rows,
        targets: npt.NDArray[np.float32],
        batches: Batches,
        device: Device,
        seed: int,
    ) -> None:
        self._network, self._module, self._rows, self._targets = network, module, rows, targets
        self._batches, self._device, self._seed = batches, device, seed
        self._parameters = trained(module)
        self._buffers = list(module.buffers())
        self._changes: list[torch.Tensor] = []  # of the buffers, before they follow
        self._copies: deque[ModuleCopy] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self.in_flight = device.in_flight(batches.largest_piece)
        self._usual_rows = self.in_flight.rows
        self.in_flight.rows = device.rows_that_fit(self.in_flight, self._try_piece)

    @contextmanager
    def workers(self) -> Iterator[None]:
        """Threads for the pieces, while the block lasts; a GPU, or a single thread, needs none."""
        if self.in_flight.pieces == 1:
            yield
            return
        alone = torch.set_num_threads  # each thread of a pool has a setting of its own
        with ThreadPoolExecutor(self.in_flight.pieces, "pieces", initializer=alone, initargs=(1,)) as self._pool:
            yield

    @property
    def smallest_piece(self) -> int | None:
        """See the class."""
        return self.in_flight.rows if self.in_flight.rows < self._usual_rows else None

    def _try_piece(self, rows: int) -> None:
        """Compute one piece for nothing; weights, buffers and everything random stay as they are."""
        piece = self._batches.pieces(self._batches.of_epoch(0)[0], rows)[0]
        self._one(piece, 0)

    def of(self, batch: Numbers, step: int) -> Sums:
        """Put the gradient of a batch's mean loss into the parameters' `grad`; `follow` is for the buffers.

        Where the device scales losses, the gradient is still scaled.
        """
        part = self._device.jointly(lambda: self.with_less_memory(lambda _: self._part(batch, step), step))
        sums, gradients, changes = part if self._device.processes == 1 else self._over_processes(*part)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.div_(sums.count)
        self._changes = [change.div_(sums.rows) if _averaged(change) else change for change in changes]
        return sums

    def follow(self) -> None:
        """Let the buffers follow the batch whose gradient was asked for last."""
        for buffer, change in zip(self._buffers, self._changes, strict=True):
            if buffer.dtype != torch.bool:
                buffer.add_(change)

    def with_less_memory(self, work: Callable[[int], Result], step: int) -> Result:
        """What `work` gives, done anew with half of the rows at once as long as memory does not suffice.

        Args:
            work: is told how many rows a piece may have.
            step: number of the update, for the log.
        """
        while True:
            problem = ""
            try:
                return work(self.in_flight.rows)
            except Exception as error:
                if classify(error) not in ("oom", "vram") or not self.in_flight.halve():
                    raise
                problem = f"{type(error).__name__}: {error}".splitlines()[0]
            # Here, not above: until then the error holds the tensors of the attempt.
            self._device.release_memory()
            rows = self.in_flight.rows * self.in_flight.pieces
            log.warning("%d rows at once from update %d on, for want of memory (%s)", rows, step, problem)

    def _part(self, batch: Numbers, step: int) -> _Part:
        """The pieces that this process has of a batch, added in their order."""
        pieces = self._batches.pieces(self._device.share(batch), self.in_flight.rows)
        sums = Sums()
        gradients: list[torch.Tensor | None] = [None] * len(self._parameters)
        changes = [torch.zeros_like(buffer) for buffer in self._buffers]
        for number, result in enumerate(self._in_order(pieces, step)):
            sums.add(result.sums)
            for at, theirs in enumerate(result.gradients):
                gradients[at] = _sum(gradients[at], theirs)
            first = number == 0 and self._device.leads
            for change, theirs in zip(changes, result.changes, strict=True):
                _add_change(change, theirs, result.sums.rows, first=first)
        return sums, gradients, changes

    def _over_processes(self, sums: Sums, gradients: list[torch.Tensor | None], changes: list[torch.Tensor]) -> _Part:
        """The same of the whole batch; every process gets it."""
        figures = self._device.tensor(np.array(list(sums.as_dict().values())))
        filled = [torch.zeros_like(p) if g is None else g for p, g in zip(self._parameters, gradients, strict=True)]
        figures, *rest = self._device.summed([figures, *filled, *changes])
        whole = Sums(*figures.tolist())
        return whole, list(rest[: len(gradients)]), rest[len(gradients) :]

    def _in_order(self, pieces: Sequence[PieceRows], step: int) -> Iterator[_Result]:
        """The results of the pieces in order, as many computed ahead as may be in flight."""
        if self._pool is None:
            for piece in pieces:
                yield self._one(piece, step)
            return
        ahead: deque[Future[_Result]] = deque()
        try:
            for piece in pieces:
                if len(ahead) == self.in_flight.pieces:
                    yield ahead.popleft().result()
                ahead.append(self._pool.submit(self._one, piece, step))
            while ahead:
                yield ahead.popleft().result()
        finally:  # after an error, nothing of this attempt runs on beside the next one
            for future in ahead:
                future.cancel()
            wait(ahead)

    def _one(self, piece: PieceRows, step: int) -> _Result:
        own = self._copies.pop() if self._copies else ModuleCopy(self._module)
        try:
            own.begin(self._device.generator(piece_seed(self._seed, self._device.process, step, piece.position)))
            return self._computed(own, piece)
        finally:
            self._copies.append(own)

    def _computed(self, own: ModuleCopy, piece: PieceRows) -> _Result:
        device = self._device
        judged = judged_on(
            device, self._network, own.module, self._rows.take(piece.rows), self._targets[piece.rows], piece.offsets
        )
        gradients = torch.autograd.grad(device.scaled(judged.total), own.parameters, allow_unused=True)
        seen = judged.predictions.detach().double()
        loss, variation = torch.stack([judged.total.detach().double(), _variation(seen)]).tolist()
        return _Result(Sums(loss, judged.count, variation, seen.numel()), gradients, own.changes())


def _variation(values: torch.Tensor) -> torch.Tensor:
    """Squared distances from the mean of the column, float64."""
    return (values - values.mean(dim=0)).square().sum()


def _sum(mine: torch.Tensor | None, theirs: torch.Tensor | None) -> torch.Tensor | None:
    """`mine` with `theirs` added. The first is copied: torch may give one tensor for two parameters, or a view."""
    if theirs is None:
        return mine
    return theirs.clone(memory_format=torch.contiguous_format) if mine is None else mine.add_(theirs)


def _averaged(buffer: torch.Tensor) -> bool:
    return bool(buffer.dtype.is_floating_point)


def _add_change(change: torch.Tensor, theirs: torch.Tensor | None, rows: float, *, first: bool) -> None:
    """Floats are averaged over the rows; whole numbers count batches, so those of the first piece are taken."""
    if theirs is None:
        return
    if _averaged(change):
        change.add_(theirs, alpha=rows)
    elif first:
        change.add_(theirs)
