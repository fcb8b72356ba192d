"""What a neural model is to the training loop: a function of its weights, and how it is to be trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from eraflow.machine.plan import Plan

CENTRE, SCALE = 2.0, math.sqrt(0.5)  # codes 0 to 4, equally often, become mean 0 and variance 1
Arrays = dict[str, npt.NDArray[np.float32]]
Tensor = Any


class Network(Protocol):
    """A model as a function of its weights."""

    def initial(self, seed: int) -> Arrays:
        """The weights before training, by name. Those with two or more dimensions are subject to weight decay."""

    def forward(self, weights: Mapping[str, Tensor], x: Tensor, noise: Any) -> Tensor:
        """float[n]: predictions for standardised codes x, float32[n, f].

        Everything random is drawn from `noise`, a torch.Generator. It is called in several threads at once.
        """


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the rows.
        batch_size: rows of one update, whatever the plan computes at once.
        learning_rate: at its highest.
        weight_decay: of AdamW, for weights with two or more dimensions.
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

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of an update, from 0, of `steps` in all."""
        rising = min(1.0, (step + 1) / max(1.0, self.warmup * steps))
        return self.learning_rate * rising * 0.5 * (1 + math.cos(math.pi * step / steps))
