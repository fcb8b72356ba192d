"""Small modules of every sort, and how a test trains one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from models.base.rows import TrainingRows
from models.networks.batches import EraBatches, EraRows, RowBatches
from models.networks.loop import train
from models.networks.losses import SquaredError
from models.networks.network import Network
from models.networks.recipe import Recipe
from tests.models.planted import PLAN, plant

RECIPE = Recipe(updates=9, check_every=3, batch_size=700, learning_rate=0.01, weight_decay=0.01)
FEATURES = 12


def plain():
    return torch.nn.Sequential(
        torch.nn.Linear(FEATURES, 16),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(16, 1),
        torch.nn.Flatten(0),
    )


class WithBuffers(torch.nn.Module):
    """Buffers that change (the statistics of batch normalisation), and some that never do."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(FEATURES, 16)
        self.norm = torch.nn.BatchNorm1d(16)
        self.last = torch.nn.Linear(16, 1)
        self.register_buffer("mask", torch.tensor([0.0] * 15 + [-torch.inf]))
        self.register_buffer("chosen", torch.arange(16) % 3 == 0)
        self.register_buffer("shift", torch.tensor(0.1), persistent=False)

    def forward(self, x):
        x = self.norm(self.first(x)) + self.mask + self.shift
        return self.last(torch.where(self.chosen, x.relu(), x.clamp(min=-1)))[:, 0]


class Tied(torch.nn.Module):
    """One weight used twice, one that is not trained, one that is not used, and a submodule in two places."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(FEATURES, FEATURES)
        self.again = self.first
        self.drop = torch.nn.Dropout(0.2)
        self.also = self.drop
        self.left, self.right = torch.nn.Parameter(torch.zeros(FEATURES)), torch.nn.Parameter(torch.zeros(FEATURES))
        self.fixed = torch.nn.Parameter(torch.ones(FEATURES), requires_grad=False)
        self.unused = torch.nn.Linear(3, 3)
        self.last = torch.nn.Linear(FEATURES, 1)

    def forward(self, x):
        x = self.also(self.again(self.drop(self.first(x)).relu())) + (self.left + self.right)
        return self.last(x * self.fixed)[:, 0]


class OwnNoise(torch.nn.Module):
    """Draws by itself, from the generator that the loop gives it."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(FEATURES, 1)
        self.generator = None

    def forward(self, x):
        return self.layer(x + 0.1 * torch.empty_like(x).normal_(generator=self.generator))[:, 0]


class GlobalNoise(torch.nn.Module):
    """Draws from torch's global generator: not to be repeated."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(FEATURES, 1)

    def forward(self, x):
        return torch.nn.functional.dropout(self.layer(x), 0.5)[:, 0]


class WholeEras(torch.nn.Module):
    """Each row as its difference from the mean of its era."""

    def __init__(self):
        super().__init__()
        self.layers = plain()

    def forward(self, x, offsets):
        bounds = offsets.tolist()
        eras = [x[start:stop] for start, stop in pairwise(bounds)]
        return self.layers(torch.cat([era - era.mean(dim=0) for era in eras]))


BY_ROW = {"plain": plain, "buffers": WithBuffers, "tied": Tied, "noise": OwnNoise}
MADE = {**BY_ROW, "eras": WholeEras}


def planted(eras=20, rows=100):
    """x, standardised y and the offsets of eras of different sizes; some targets are not known, and one whole era."""
    data = plant(eras=eras, rows=rows)
    y = ((data.y - data.y.mean()) / data.y.std()).astype(np.float32)
    offsets = np.unique(np.concatenate([[0], np.cumsum(np.arange(eras) * 7 % 90 + 60), [len(y)]]).clip(max=len(y)))
    y[::9] = np.nan
    y[offsets[2] : offsets[3]] = np.nan
    return data.x, y, offsets


def inputs(name, data, seed=5, recipe=RECIPE):
    """The positional arguments of `train` for one of MADE."""
    x, y, offsets = data
    if name == "eras":
        batches = EraBatches(offsets, y, recipe.batch_size // 100, seed)
        return Network(WholeEras, SquaredError(), takes_offsets=True), EraRows(x), y, batches
    rows = TrainingRows(x, y, 10_000)
    return Network(MADE[name], SquaredError()), rows, rows.labels, RowBatches(rows.n_rows, recipe.batch_size, seed)


def trained(name, data, *, recipe=RECIPE, seed=5, **plan):
    """The module after its training."""
    checkpoints, progress = plan.pop("checkpoints", None), plan.pop("progress", None)
    made = train(
        *inputs(name, data, seed, recipe),
        recipe=recipe,
        plan=replace(PLAN, **plan),
        seed=seed,
        who=name,
        checkpoints=checkpoints,
        progress=progress,
    )
    return made.module


def content(module):
    """All bytes of a module, buffers included."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach().numpy().tobytes() for name, tensor in tensors}
