"""How a network is trained: how long, in which batches, at which rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from eraflow.machine.plan import Plan


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        updates: of the weights, in all; fewer where `patience` ends the training.
        batch_size: rows of one update, or eras where the batches are whole eras, whatever the plan computes at once.
        learning_rate: at its highest.
        weight_decay: of AdamW, for parameters with two or more dimensions.
        clip_norm: the gradient of a batch is shortened to this norm; None: it is not. The plan may ask for less.
        check_every: updates after which the training is looked at: its curve, its checkpoint, its CORR on eras that
            were kept back.
        patience: the training ends when so many looks in a row have found no better CORR.
        deterministic: on a GPU, pin what torch can pin; see models/networks/determinism.py.
        warmup: share of the updates over which the rate rises; then it falls like a cosine to zero.
    """

    updates: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    clip_norm: float | None = None
    check_every: int = 20
    patience: int = 5
    deterministic: bool = True
    warmup: float = 0.05

    def planned_updates(self, plan: Plan) -> int:
        """The updates that a plan allows."""
        return max(1, round(self.updates * plan.work_factor))

    def clipped_to(self, plan: Plan) -> float | None:
        """The norm to which gradients are shortened; None: they are not."""
        return min((norm for norm in (self.clip_norm, plan.clip_norm) if norm is not None), default=None)

    def factor(self, step: int, steps: int) -> float:
        """Share of the learning rate in an update, from 0, of `steps` in all; 0 after the last one."""
        if step >= steps:
            return 0.0
        rising = min(1.0, (step + 1) / max(1.0, self.warmup * steps))
        return rising * 0.5 * (1 + math.cos(math.pi * step / steps))
