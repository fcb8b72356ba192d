"""One of two processes that train together over gloo: what it trained, and what it met when something failed.

python -m tests.models.networks.twoprocesses FOLDER    (with RANK and the rest in the environment, as a launcher sets)
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from eraflow.machine.plan import Plan
from models.base.wholeeras import FitEras, fit_in_eras
from models.kinds import make_model
from models.networks import loop
from models.networks.accelerated import Accelerated
from models.networks.gradient import BatchGradient
from tests.models.networks import modules
from tests.models.planted import FAST_MLP, plant

RECIPE = replace(modules.RECIPE, batch_size=10_000)
"""One batch an epoch."""
STILL = ("still", "still-eras")
ERAS = FitEras(np.arange(0, 1201, 30), np.arange(1, 41), 8)


def still():
    """Nothing is dropped out: what is dropped differs between the processes."""
    return torch.nn.Sequential(
        torch.nn.Linear(modules.FEATURES, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1), torch.nn.Flatten(0)
    )


class StillEras(modules.WholeEras):
    def __init__(self):
        super().__init__()
        self.layers = still()


def trained_alike(name, **more):
    """A module by rows, or by whole eras; of rows a piece has half of a batch, as one of two processes has."""
    data = modules.planted()
    half = -(-int((~np.isnan(data[1])).sum()) // 2)
    whole = name == "still-eras"
    modules.MADE["still"], made = still, modules.WholeEras
    modules.WholeEras = StillEras
    try:
        return modules.trained("eras" if whole else "still", data, recipe=RECIPE, batch_rows=half, **more)
    finally:
        modules.WholeEras = made


def fitted_mlp():
    """An mlp that is stopped by eras kept back."""
    planted = plant(eras=40, rows=30)
    model = make_model("mlp", {**FAST_MLP, "dropout": 0.0, "updates": 40})
    fit_in_eras(model, planted.x, planted.y, ERAS, plan=Plan(device="cuda", batch_rows=128), seed=3)
    return model


def on(accelerator):
    """Let trainings in this process compute through this Accelerator."""
    loop.device_of = lambda plan: Accelerated(plan, accelerator)


def main(folder: Path) -> None:
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    on(accelerator)
    for name in STILL:
        own = folder / f"checkpoints-{rank}" if name == "still" else None
        torch.save(trained_alike(name, checkpoints=own).state_dict(), folder / f"{name}-{rank}.pt")
    torch.save(modules.trained("buffers", modules.planted()).state_dict(), folder / f"buffers-{rank}.pt")
    model = fitted_mlp()
    np.savez(folder / f"mlp-{rank}.npz", **model._weights)
    met = {
        "updates": model.trained_with["updates"],
        **{name: met_in(work, folder, rank) for name, work in WRONG.items()},
    }
    (folder / f"met-{rank}.json").write_text(json.dumps(met))
    died(folder, rank)


def met_in(work, folder, rank):
    """The error that a training ends with, in this process."""
    before = BatchGradient._computed
    try:
        work(folder, rank)
    except Exception as error:  # noqa: BLE001 - it is what is asked for
        return f"{type(error).__name__}: {error}"
    finally:
        BatchGradient._computed = before
    return "nothing"


def spoilt(spoil, folder, rank):
    """A training in whose second process something happens in the third piece."""
    computed, seen = BatchGradient._computed, []

    def spoilt(self, own, piece):
        seen.append(piece)
        return spoil(computed(self, own, piece)) if rank == 1 and len(seen) == 3 else computed(self, own, piece)

    BatchGradient._computed = spoilt
    trained_alike("still")


def unreadable(result):
    raise OSError("the era store cannot be read")


def not_finite(result):
    result.gradients[0][0, 0] = float("nan")
    return result


def not_writable(folder, rank):
    """Only the first process writes checkpoints."""
    (folder / f"file-{rank}").write_text("")
    trained_alike("still", checkpoints=folder / f"file-{rank}" if rank == 0 else folder / "free")


def begun_apart(folder, rank):
    """The first process goes on from its checkpoint, the second has none."""
    trained_alike("still", checkpoints=folder / f"checkpoints-{rank}")


WRONG = {
    "unreadable": partial(spoilt, unreadable),
    "not finite": partial(spoilt, not_finite),
    "not writable": not_writable,
    "begun apart": begun_apart,
}


def died(folder, rank):
    """The second process is gone in the middle of a training, without a word."""
    told = met_in(partial(spoilt, lambda _: os._exit(9)), folder, rank)
    (folder / "died.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
