"""torch's own optimiser and schedule.

torch loads its compiler when an optimiser is made: 1.4 to 1.6 CPU seconds and 67 MiB that a training needs besides (2.9
to 3.2 s instead of 1.4 to 1.9 s, and 211 MiB of anonymous memory instead of 144, from the start of the process to the
third step; torch 2.13.0, one thread). It is the price of optimisers and schedules that are not ours to maintain. On the
CPU the whole step of a parameter is one operation of torch, which takes a tenth off the mlp's training.
"""

from __future__ import annotations

import torch

from models.networks.modulecopy import trained
from models.networks.recipe import Recipe


def adamw(module: torch.nn.Module, recipe: Recipe, rate_factor: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, 2019); parameters with one dimension (biases, normalisation) do not decay."""
    parameters = trained(module)
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    fused = True if parameters[0].device.type == "cpu" else None  # None: torch chooses
    return torch.optim.AdamW(used, lr=recipe.learning_rate * rate_factor, fused=fused)


def warmup_cosine(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int, done: int = 0
) -> torch.optim.lr_scheduler.LRScheduler:
    """The recipe's schedule over `steps` updates, as it stands after `done` of them.

    An optimiser that has done some must have been restored: torch keeps the highest rate in its groups.
    """
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.factor(step, steps), last_epoch=done - 1)
