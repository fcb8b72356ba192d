"""The training loop of all networks: any module of torch, its own optimisers and schedules, batches of rows or of eras.

Nothing random has a state. The order of an epoch, and what is dropped out in a piece of a batch, are drawn from the
seed, the epoch or the update, and the position; so a training that goes on from a checkpoint gives the same bytes as
one that was never interrupted, and the number of the update is all that a checkpoint needs to know of the generators
and of its place in the data.

On the CPU a batch is cut into pieces of 256 rows, or of one era, whatever the plan says. Each piece is computed by one
thread on a copy of the module of its own, as many at a time as the plan has threads (and `batch_rows` has pieces), and
the gradients are added in the order of the pieces. The model is the same, to the last bit, for any `threads`,
`batch_rows` and `rows_in_memory`, and a batch never needs more memory than its pieces in flight. On a GPU a piece has
`batch_rows` rows; see models/networks/accelerated.py.

The length is counted in updates. Where eras were kept back, their CORR is looked at every `check_every` updates, and
the weights that were best are what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from eraflow.disk.digest import value_sha256
from eraflow.machine.instability import TrainingMonitor
from eraflow.machine.plan import Plan
from models.base.protocol import ProgressFn
from models.networks.batches import Batches
from models.networks.checkpoint import Checkpoints
from models.networks.determinism import pinned
from models.networks.devicechoice import device_of
from models.networks.gradient import BatchGradient, Rows
from models.networks.network import Network
from models.networks.recipe import Recipe
from models.networks.trainingrun import Look, Trained, TrainingRun, tensors
from models.networks.validation import Validation


def train(
    network: Network,
    rows: Rows,
    targets: npt.NDArray[np.float32],
    batches: Batches,
    *,
    recipe: Recipe,
    plan: Plan,
    seed: int,
    who: str,
    validation: Validation | None = None,
    length: float | None = None,
    checkpoints: Path | None = None,
    progress: ProgressFn | None = None,
    look: Look | None = None,
) -> Trained:
    """Fit a network.

    Args:
        network: the module and its loss.
        rows: what it learns from.
        targets: float32[n] or [n, k] of these rows, as the loss wants them.
        batches: in which order, of rows or of eras.
        recipe: how.
        plan: `rate_factor`, `work_factor`, `clip_norm` and `precision` change the result.
        seed: everything random starts here.
        who: name for the texts.
        validation: by which the training is stopped; None: it runs to its end.
        length: share of the planned updates after which it ends, on the schedule of them all; None: the whole.
        checkpoints: folder of this fit's checkpoints. A training goes on from there under the same `rate_factor` and
            `clip_norm`; after NaN or divergence the plan has other ones and it begins anew, since the newest weights
            may be spoilt already.
        progress: told how many updates are done.
        look: may stop it; None: nobody looks.

    Raises:
        StageNaN, StageDiverged, StageStalled: the training went wrong.
        UnseededRandomnessError: the module draws from torch's global generator.
        MissingLibraryError: there is a GPU, and Accelerate is not installed.
        StorageError: a checkpoint cannot be written.
        CheckpointsDifferError, OtherProcessError: of several processes, which train together.
    """
    with _one_thread_an_operation(), pinned(plan, wanted=recipe.deterministic):
        device = device_of(plan)
        module = device.place(_made(network, seed))
        shapes = {name: list(tensor.shape) for name, tensor in tensors(module)}
        key = {"rate_factor": plan.rate_factor, "clip_norm": plan.clip_norm, "seed": seed, "shapes": shapes}
        key["length"] = length
        gradient = BatchGradient(network, module, rows, targets, batches, device, seed)
        training = TrainingRun(
            module,
            gradient,
            batches,
            device,
            TrainingMonitor(who, constant_loss=network.loss.constant),
            Checkpoints(checkpoints, value_sha256(key)),
            recipe,
            plan,
            validation,
            length,
            look,
        )
        with gradient.workers():
            return training.run(progress)


def _made(network: Network, seed: int) -> torch.nn.Module:
    """A new module, the same for the same seed, whatever was drawn before; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # modules are made on the CPU
        return network.make().train()


@contextmanager
def _one_thread_an_operation() -> Iterator[None]:
    """Let torch compute each operation in the thread that asks for it, so that sums do not depend on the threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
