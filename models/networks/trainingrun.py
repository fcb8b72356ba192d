"""One training and where it stands: updates, looks at the curve, checkpoints, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from eraflow.errors import EraflowError
from eraflow.machine.instability import TrainingMonitor
from eraflow.machine.plan import Plan
from models.base.meter import Meter
from models.base.protocol import ProgressFn
from models.networks.batches import Batches, Numbers
from models.networks.checkpoint import Checkpoints
from models.networks.device import Device
from models.networks.gradient import BatchGradient, Sums
from models.networks.modulecopy import trained
from models.networks.network import UnseededRandomnessError
from models.networks.optimizer import adamw, warmup_cosine
from models.networks.progress import CurvePoint, Standing
from models.networks.recipe import Recipe
from models.networks.validation import Validation

Look = Callable[[int, torch.nn.Module], bool]
"""Asked after each update, with how many are done, whether to stop here; the module may be read and not changed."""


class CheckpointsDifferError(EraflowError):
    """Processes that train together found different checkpoints. Give all of them the same folder."""

    code = "checkpoints_differ"


@dataclass(frozen=True)
class Trained:
    """A module after its training.

    Attributes:
        module: on the CPU, ready to predict.
        updates: after which its weights are as they are.
        planned: updates that it might have had.
        curve: what every look has found.
        rows_at_once: how many rows went through it at once at the end, where that has changed its bits and was less
            than the plan allows: on a GPU whose memory did not suffice. None as a rule.
    """

    module: torch.nn.Module
    updates: int
    planned: int
    curve: tuple[CurvePoint, ...]
    rows_at_once: int | None


class TrainingRun:
    """One training and where it stands: from the newest checkpoint, or from the beginning."""

    def __init__(
        self,
        module: torch.nn.Module,
        gradient: BatchGradient,
        batches: Batches,
        device: Device,
        monitor: TrainingMonitor,
        checkpoints: Checkpoints,
        recipe: Recipe,
        plan: Plan,
        validation: Validation | None,
        length: float | None,
        look: Look | None,
    ) -> None:
        self._look_from_outside, self._stopped = look, False
        self._module, self._gradient, self._batches, self._device = module, gradient, batches, device
        self._monitor, self._checkpoints, self._recipe, self._validation = monitor, checkpoints, recipe, validation
        self._parameters, self._clip_norm = trained(module), recipe.clipped_to(plan)
        self._total = recipe.planned_updates(plan)
        self._end = self._total if length is None else max(1, round(length * self._total))
        self._step = 0  # updates that are done
        self._epoch, self._since = Sums(), Sums()  # of the epoch that is under way; since the last look
        self._spread = math.inf  # of the predictions before the last look
        self._standing = Standing()
        self._smallest: int | None = None  # see Trained.rows_at_once
        optimizer = adamw(module, recipe, plan.rate_factor)
        found = device.jointly(checkpoints.load)
        if found is not None:
            self._take_over(found, optimizer)
        beginning = device.agreed(self._step)
        device.jointly(lambda: self._check_beginning(beginning))
        self._schedule = warmup_cosine(optimizer, recipe, self._total, self._step)
        if found is not None and found["schedule"]["total"] == self._total:  # else the plan wants fewer updates now
            self._schedule.load_state_dict(found["schedule"]["state"])
        self._optimizer = device.prepare(optimizer)

    def run(self, progress: ProgressFn | None) -> Trained:
        """Train to the end."""
        meter = Meter(progress, self._end, "updates")
        random_state = self._device.random_state()
        while not self._ended:
            number, done = divmod(self._step, self._batches.per_epoch)
            for batch in self._batches.of_epoch(number)[done:]:
                meter(self._step)
                self._update(batch)
                self._check_random_state(random_state)
                self._look(number)
                if self._ended:
                    break
        if self._step % self._batches.per_epoch:  # part of an epoch; what it predicts at its end, not on the way
            number = self._step // self._batches.per_epoch
            spread = self._since.spread if self._since.rows else self._spread
            self._monitor.epoch(number, self._epoch.mean_loss, spread=spread)
        self._monitor.finish()
        meter(self._end)
        best = self._standing.weights
        if best is not None:
            self._put(best)
        updates = self._step if best is None else self._standing.best_step
        return Trained(
            self._module.cpu().eval(), updates, self._total, tuple(self._standing.curve), rows_at_once=self._smallest
        )

    @property
    def _ended(self) -> bool:
        late = self._step - self._standing.best_step
        waited = self._standing.weights is not None and late >= self._recipe.patience * self._recipe.check_every
        return waited or self._stopped or self._step >= self._end

    def _update(self, batch: Numbers) -> None:
        """One step of the optimiser, with the gradient of the batch."""
        self._device.jointly(self._save_what_is_due)
        sums, norm = self._gradient_of(batch)
        rate = self._schedule.get_last_lr()[0]
        # Before the weights change: a training that goes wrong ends.
        self._monitor.update(self._step, sums.mean_loss, grad_norm=float(norm), rate=rate)
        self._gradient.follow()
        if self._clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self._clip_norm, norm)
        self._optimizer.step()
        self._schedule.step()
        self._epoch.add(sums)
        self._since.add(sums)
        self._step += 1

    def _gradient_of(self, batch: Numbers) -> tuple[Sums, torch.Tensor]:
        """Put the gradient of a batch into the parameters; gives its sums and its norm.

        Where the scale of a half precision was too high, the gradient is computed anew under the lower one, so that no
        update is lost and the schedule does not run ahead of the optimiser.
        """
        while True:
            sums = self._gradient.of(batch, self._step)
            if self._gradient.smallest_piece is not None:
                self._smallest = min(self._smallest or self._gradient.smallest_piece, self._gradient.smallest_piece)
            self._device.unscale(self._optimizer)
            norm = torch.nn.utils.get_total_norm([each.grad for each in self._parameters if each.grad is not None])
            if not (math.isfinite(sums.loss) and self._device.overflowed(float(norm))):
                return sums, norm
            self._optimizer.step()  # the device leaves it out, and lowers the scale

    def _look(self, number: int) -> None:
        """Judge an epoch that is over; look at the curve now and then, and at the end."""
        if self._step % self._batches.per_epoch == 0:
            self._monitor.epoch(number, self._epoch.mean_loss, spread=self._epoch.spread)
            self._epoch = Sums()
        if self._step >= self._end or self._step % self._recipe.check_every == 0:
            self._end_interval()
        if self._look_from_outside is not None:
            self._stopped = self._look_from_outside(self._step, self._module)

    def _end_interval(self) -> None:
        corr = self._corr()
        if corr is not None:
            self._monitor.validated(self._step, corr)
        loss, self._spread, self._since = self._since.mean_loss, self._since.spread, Sums()
        better = self._standing.add(CurvePoint(self._step, loss, corr))
        if better and corr is not None:
            self._standing.weights = {name: tensor.detach().cpu().clone() for name, tensor in tensors(self._module)}
        self._device.jointly(lambda: self._save(best=better))

    def _corr(self) -> float | None:
        """Of the eras kept back, by which all processes decide alike; None: none were."""
        validation = self._validation
        if validation is None:
            return None
        look = partial(validation.corr, self._module, self._device)
        return self._device.agreed(self._device.jointly(lambda: self._gradient.with_less_memory(look, self._step)))

    def _save_what_is_due(self) -> None:
        if self._checkpoints.due:
            self._save()

    def _save(self, *, best: bool = False) -> None:
        if not self._device.leads:
            return
        self._checkpoints.save(
            {
                "step": self._step,
                "module": {name: tensor.detach() for name, tensor in tensors(self._module)},
                "optimizer": self._optimizer.state_dict(),
                "schedule": {"total": self._total, "state": self._schedule.state_dict()},
                "device": self._device.state(),
                "monitor": self._monitor.state(),
                "epoch": self._epoch.as_dict(),
                "since": self._since.as_dict(),
                "spread": self._spread,
                "standing": self._standing.state(),
                "rows_at_once": self._smallest,
            },
            best=best,
        )

    def _take_over(self, found: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
        self._put(found["module"])
        optimizer.load_state_dict(found["optimizer"])
        self._device.restore(found["device"])
        self._monitor.restore(found["monitor"])
        self._step, self._standing = int(found["step"]), Standing.of(found["standing"])
        self._epoch, self._since = Sums(**found["epoch"]), Sums(**found["since"])
        self._smallest, self._spread = found["rows_at_once"], float(found["spread"])

    def _check_beginning(self, updates: float) -> None:
        """All processes go on from one checkpoint: their mean tells whether one of them found another."""
        if updates != self._step:
            raise CheckpointsDifferError(
                f"process {self._device.process} of {self._device.processes} that train together begins after "
                f"{self._step} updates, they all do after {updates:g} in the mean",
                "give all processes the same folder of checkpoints, or empty it to begin anew",
            )

    def _put(self, weights: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in tensors(self._module):
                tensor.copy_(weights[name])

    def _check_random_state(self, before: torch.Tensor) -> None:
        if not torch.equal(before, self._device.random_state()):
            raise UnseededRandomnessError(
                f"the module {type(self._module).__name__} draws from torch's global generator while it is trained",
                "use torch.nn.Dropout, or draw from an attribute `generator` of the module, which the loop sets",
            )


def tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """All parameters and buffers; unlike its state_dict, also the buffers that are not to be saved with a model."""
    yield from module.named_parameters()
    yield from module.named_buffers()
