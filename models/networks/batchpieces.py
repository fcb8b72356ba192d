"""The gradient of a batch, piece by piece, so that memory is bounded and the sum does not depend on the threads."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.machine.plan import MIN_BATCH_ROWS, Plan
from models.base.rows import TrainingRows
from models.networks.recipe import CENTRE, SCALE, Network, Tensor
from models.networks.torchlibrary import torch_library, usable_device

CPU_PIECE_ROWS = MIN_BATCH_ROWS


@dataclass(frozen=True)
class Piece:
    """What one piece of a batch gives: sums over its rows, and the gradient of the summed loss."""

    loss: float
    variation: float  # squared distances of the predictions from their mean in the piece
    gradients: Sequence[Tensor]


@dataclass
class Sums:
    """Sums over an epoch."""

    rows: int = 0
    loss: float = 0.0
    variation: float = 0.0

    def add(self, piece: Piece) -> None:
        """Take in one piece."""
        self.loss += piece.loss
        self.variation += piece.variation

    @property
    def spread(self) -> float:
        """Standard deviation of the predictions, each around the mean of its piece; that of the target is 1."""
        return math.sqrt(self.variation / self.rows)


class Pieces:
    """Computes the pieces of batches.

    Args:
        network: the model.
        weights: its weights, tensors that require a gradient.
        rows: what is learnt from.
        targets: float32[rows.n_rows].
        plan: threads, batch_rows, device and precision are used.
        seed: what is dropped out is drawn from it, the update and the position of the piece.
    """

    def __init__(
        self,
        network: Network,
        weights: Mapping[str, Tensor],
        rows: TrainingRows,
        targets: npt.NDArray[np.float32],
        plan: Plan,
        seed: int,
    ) -> None:
        self._torch = torch_library()
        self._network, self._weights, self._rows, self._targets = network, weights, rows, targets
        self._plan, self._seed = plan, seed
        self._device = usable_device(plan)
        on_cpu = self._device == "cpu"
        self._piece_rows = CPU_PIECE_ROWS if on_cpu else plan.batch_rows
        self._in_flight = max(1, min(plan.threads, plan.batch_rows // CPU_PIECE_ROWS)) if on_cpu else 1
        self._pool: ThreadPoolExecutor | None = None

    @contextmanager
    def workers(self) -> Iterator[None]:
        """Threads for the pieces, while the block lasts; a GPU, or a single thread, needs none."""
        if self._in_flight == 1:
            yield
            return
        alone = self._torch.set_num_threads  # each thread of a pool has a setting of its own
        with ThreadPoolExecutor(self._in_flight, "pieces", initializer=alone, initargs=(1,)) as self._pool:
            yield

    def of(self, batch: npt.NDArray[np.int64], step: int) -> Iterator[Piece]:
        """The pieces of a batch in order, as many computed ahead as there are threads."""
        starts = range(0, len(batch), self._piece_rows)
        if self._pool is None:
            for start in starts:
                yield self._one(batch, step, start)
            return
        ahead: deque[Future[Piece]] = deque()
        for start in starts:
            if len(ahead) == self._in_flight:
                yield ahead.popleft().result()
            ahead.append(self._pool.submit(self._one, batch, step, start))
        while ahead:
            yield ahead.popleft().result()

    def _one(self, batch: npt.NDArray[np.int64], step: int, start: int) -> Piece:
        torch, numbers = self._torch, batch[start : start + self._piece_rows]
        codes = torch.from_numpy(self._rows.take(numbers)).to(self._device)
        y = torch.from_numpy(self._targets[numbers]).to(self._device)
        low = self._plan.precision != "float32"
        kind = getattr(torch, self._plan.precision) if low else None
        with torch.autocast(self._device, dtype=kind, enabled=low):
            x = (codes.to(torch.float32) - CENTRE) * SCALE
            predicted = self._network.forward(self._weights, x, self._noise(step, start)).float()
        loss = (predicted - y).square().sum()
        gradients = torch.autograd.grad(loss, list(self._weights.values()))
        seen = predicted.detach().double()
        figures = torch.stack([loss.detach().double(), (seen - seen.mean()).square().sum()]).tolist()
        return Piece(figures[0], figures[1], gradients)

    def _noise(self, step: int, start: int) -> Any:
        noise = self._torch.Generator(device=self._device)
        return noise.manual_seed(int(np.random.SeedSequence([self._seed, step, start]).generate_state(1)[0]))
