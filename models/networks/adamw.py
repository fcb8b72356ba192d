"""AdamW (Loshchilov and Hutter, 2019), as torch has it.

torch.optim loads torch's compiler at its first step: a second or more, and 68 MiB that no model here has a use for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Tensor = Any
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class AdamW:
    """The optimiser of named weights; those with two or more dimensions decay.

    Args:
        weights: changed in place.
        weight_decay: decoupled: a step takes away this share of a weight, times the learning rate.
    """

    def __init__(self, weights: Mapping[str, Tensor], weight_decay: float) -> None:
        self._weights = weights
        self._decay = weight_decay
        self._steps = 0
        self._first = {name: weight.detach().clone().zero_() for name, weight in weights.items()}
        self._second = {name: weight.detach().clone().zero_() for name, weight in weights.items()}

    def step(self, gradients: Mapping[str, Tensor], rate: float) -> None:
        """One step; `gradients` by name."""
        self._steps += 1
        size = rate / (1 - BETA1**self._steps)
        correction = math.sqrt(1 - BETA2**self._steps)
        for name, weight in self._weights.items():
            gradient, first, second = gradients[name], self._first[name], self._second[name]
            weight = weight.detach()
            if weight.ndim > 1:
                weight.mul_(1 - rate * self._decay)
            first.lerp_(gradient, 1 - BETA1)
            second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            weight.addcdiv_(first, (second.sqrt() / correction).add_(EPSILON), value=-size)

    def state(self) -> dict[str, Any]:
        """Steps and both moments, for a checkpoint."""
        return {"steps": self._steps, "first": self._first, "second": self._second}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self._steps = int(state["steps"])
        for mine, theirs in ((self._first, state["first"]), (self._second, state["second"])):
            for name, tensor in mine.items():
                tensor.copy_(theirs[name])
