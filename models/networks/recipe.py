"""How a network is trained: how long, in which batches, at which rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from eraflow.machine.plan import Plan


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the rows.
        batch_size: rows of one update, or eras where the batches are whole eras, whatever the plan computes at once.
        learning_rate: at its highest.
        weight_decay: of AdamW, for parameters with two or more dimensions.
        warmup: share of the updates over which the rate rises; then it falls like a cosine to zero.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float = 0.05

    def planned_epochs(self, plan: Plan) -> int:
        """The epochs that a plan allows."""
        return max(1, round(self.epochs * plan.work_factor))

    def factor(self, step: int, steps: int) -> float:
        """Share of the learning rate in an update, from 0, of `steps` in all; 0 after the last one."""
        if step >= steps:
            return 0.0
        rising = min(1.0, (step + 1) / max(1.0, self.warmup * steps))
        return rising * 0.5 * (1 + math.cos(math.pi * step / steps))
