"""Where a training stands: its curve, and the best weights so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch


@dataclass(frozen=True)
class CurvePoint:
    """What one look at a training finds.

    Attributes:
        update: how many were done.
        loss: mean over the rows since the last look, dropout included.
        corr: mean CORR of the eras that were kept back; None: none were.
    """

    update: int
    loss: float
    corr: float | None


@dataclass
class Standing:
    """The looks so far.

    Attributes:
        curve: in order.
        best: the highest CORR; where no eras were kept back, the lowest loss, negative.
        best_step: after which update that was.
        weights: the parameters and buffers of then, on the CPU; None: no eras were kept back.
    """

    curve: list[CurvePoint] = field(default_factory=list)
    best: float = -math.inf
    best_step: int = 0
    weights: dict[str, torch.Tensor] | None = None

    def add(self, point: CurvePoint) -> bool:
        """Take in a look; tells whether it is the best."""
        self.curve.append(point)
        value = -point.loss if point.corr is None else point.corr
        if value <= self.best:
            return False
        self.best, self.best_step = value, point.update
        return True

    def state(self) -> dict[str, Any]:
        """For a checkpoint; `of` is the way back."""
        curve = [asdict(point) for point in self.curve]
        return {"curve": curve, "best": self.best, "best_step": self.best_step, "weights": self.weights}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`."""
        curve = [CurvePoint(**point) for point in state["curve"]]
        return cls(curve, float(state["best"]), int(state["best_step"]), state["weights"])
