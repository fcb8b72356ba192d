"""The training loop that all neural models share: minibatches of int8 codes, AdamW, checkpoints, a watch on the loss.

Nothing random has a state. The order of an epoch's rows, and what is dropped out in a piece of a batch, are drawn from
the seed, the epoch and the position; so a training that goes on from a checkpoint gives the same bytes as one that was
never interrupted, and a checkpoint needs no state of a generator.

On the CPU a batch is cut into pieces of 256 rows, whatever the plan says. Each piece is computed by one thread, as many
at a time as the plan has threads (and `batch_rows` has pieces), and the gradients are added in the order of the pieces.
The model is the same, to the last bit, for any `threads`, `batch_rows` and `rows_in_memory`, and a batch never needs
more memory than its pieces in flight. On a GPU a piece has `batch_rows` rows: other pieces give the same update up to
rounding, and drop out other units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.disk.digest import value_sha256
from eraflow.machine.instability import TrainingMonitor
from eraflow.machine.plan import Plan
from models.base.meter import Meter
from models.base.protocol import ProgressFn
from models.base.rows import TrainingRows
from models.networks.adamw import AdamW
from models.networks.batchpieces import Pieces, Sums
from models.networks.checkpoint import Checkpoint
from models.networks.recipe import Arrays, Network, Recipe
from models.networks.torchlibrary import one_thread_an_operation, torch_library, usable_device


def train_network(
    network: Network,
    rows: TrainingRows,
    targets: npt.NDArray[np.float32],
    *,
    recipe: Recipe,
    plan: Plan,
    seed: int,
    who: str,
    checkpoints: Path | None = None,
    progress: ProgressFn | None = None,
) -> Arrays:
    """Fit the network to the targets by squared error; returns the weights.

    Args:
        network: the model.
        rows: what it learns from.
        targets: float32[rows.n_rows], mean 0 and variance 1.
        recipe: how.
        plan: `rate_factor`, `work_factor`, `clip_norm` and `precision` change the result.
        seed: everything random starts here.
        who: name for the texts.
        checkpoints: folder of this fit's checkpoints. A training goes on from there under the same `rate_factor` and
            `clip_norm`; after NaN or divergence the plan has other ones and it begins anew, since the newest weights
            may be spoilt already.
        progress: told how many updates are done.

    Raises:
        StageNaN, StageDiverged, StageStalled: the training went wrong.
        MissingLibraryError: torch is not installed.
        StorageError: a checkpoint cannot be written.
    """
    with one_thread_an_operation():
        device = usable_device(plan)
        weights = {name: _leaf(array, device) for name, array in network.initial(seed).items()}
        key = value_sha256({"rate_factor": plan.rate_factor, "clip_norm": plan.clip_norm, "seed": seed})
        training = _Training(
            weights=weights,
            pieces=Pieces(network, weights, rows, targets, plan, seed),
            optimizer=AdamW(weights, recipe.weight_decay),
            monitor=TrainingMonitor(who, constant_loss=1.0),
            checkpoint=Checkpoint(checkpoints, key),
            recipe=recipe,
            plan=plan,
            seed=seed,
            n_rows=rows.n_rows,
        )
        with training.pieces.workers():
            training.run(progress)
        return {name: weight.detach().cpu().numpy() for name, weight in weights.items()}


def _leaf(array: npt.NDArray[np.float32], device: str) -> Any:
    return torch_library().from_numpy(array.copy()).to(device).requires_grad_()


@dataclass(frozen=True)
class _Training:
    weights: dict[str, Any]
    pieces: Pieces
    optimizer: AdamW
    monitor: TrainingMonitor
    checkpoint: Checkpoint
    recipe: Recipe
    plan: Plan
    seed: int
    n_rows: int

    @property
    def updates(self) -> int:
        """Updates of an epoch."""
        return math.ceil(self.n_rows / self.recipe.batch_size)

    @property
    def total(self) -> int:
        """Updates of the whole training."""
        return self.updates * self.recipe.planned_epochs(self.plan)

    def run(self, progress: ProgressFn | None) -> None:
        """Train from the newest checkpoint, or from the beginning, to the end."""
        meter = Meter(progress, self.total, "updates")
        for number in range(self._restore(), self.recipe.planned_epochs(self.plan)):
            self._epoch(number, meter)
            self._save(number + 1)
        self.monitor.finish()
        meter(self.total)

    def _epoch(self, number: int, meter: Meter) -> None:
        order = np.random.default_rng([self.seed, number]).permutation(self.n_rows)
        sums = Sums()
        for at, batch in enumerate(np.array_split(order, self.updates)):
            meter(number * self.updates + at)
            self._update(np.sort(batch), number * self.updates + at, sums)
        self.monitor.epoch(number, sums.loss / sums.rows, spread=sums.spread)

    def _update(self, batch: npt.NDArray[np.int64], step: int, sums: Sums) -> None:
        """One step of the optimiser, with the mean gradient of the batch."""
        before, total = sums.loss, None
        for piece in self.pieces.of(batch, step):
            sums.add(piece)
            if total is None:
                total = list(piece.gradients)
            else:
                for mine, theirs in zip(total, piece.gradients, strict=True):
                    mine.add_(theirs)
        sums.rows += len(batch)
        gradients = {name: gradient.div_(len(batch)) for name, gradient in zip(self.weights, total or (), strict=True)}
        norm = _norm(gradients)
        rate = self.recipe.rate(step, self.total) * self.plan.rate_factor
        self.monitor.update(step, (sums.loss - before) / len(batch), grad_norm=norm, rate=rate)
        if self.plan.clip_norm is not None and norm > self.plan.clip_norm:
            for gradient in gradients.values():
                gradient.mul_(self.plan.clip_norm / norm)
        self.optimizer.step(gradients, rate)

    def _save(self, epochs_done: int) -> None:
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        state = {"optimizer": self.optimizer.state(), "monitor": self.monitor.state()}
        self.checkpoint.save({"epochs": epochs_done, "weights": weights, **state})

    def _restore(self) -> int:
        """Take over the newest checkpoint; returns how many epochs are done."""
        found = self.checkpoint.load()
        if found is None:
            return 0
        for name, weight in self.weights.items():
            weight.detach().copy_(found["weights"][name])
        self.optimizer.restore(found["optimizer"])
        self.monitor.restore(found["monitor"])
        return int(found["epochs"])


def _norm(gradients: dict[str, Any]) -> float:
    torch = torch_library()
    return float(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients.values()]).norm())
