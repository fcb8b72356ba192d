"""A searched parameter: its range, with the reason of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol


class Suggests(Protocol):
    """What of an Optuna trial is used."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """A number of the range."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """A whole number of the range."""


@dataclass(frozen=True)
class Range:
    """One searched parameter.

    Attributes:
        name: in the library's own words.
        low, high: both included.
        why: the reason of the range.
        log: whether ratios count, not differences.
        integer: whole numbers only.
        regulariser: more of it means a tamer model; its lower bound rises when the gap grows (see `objective`).
        default: what the library takes when nothing is said and the model's own defaults do not say it either.
        multiple: whole numbers only that can be divided by this.
        zero_below: what lies below it stands for 0, so that a parameter can be switched off.
        repeated: the parameter is a list of so many equal numbers; 0: it is a number.
    """

    name: str
    low: float
    high: float
    why: str
    log: bool = True
    integer: bool = False
    regulariser: bool = False
    default: float | None = None
    multiple: int = 1
    zero_below: float = 0.0
    repeated: int = 0

    def suggest(self, trial: Suggests) -> float:
        """A value, drawn by the study's sampler; always from the whole range, so that the space never changes."""
        if self.integer:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def clipped(self, value: Any) -> float:
        """`value` within the range, whole where it has to be; of a list, its first number."""
        number = value[0] if isinstance(value, list) else value
        inside = min(max(float(number), self.low), self.high)
        return round(inside / self.multiple) * self.multiple if self.integer else inside

    def used(self, value: float) -> float:
        """The number that a model is given for a suggested one."""
        if value < self.zero_below:
            return 0.0
        return self.clipped(value) if self.multiple > 1 else value

    def as_param(self, value: float) -> Any:
        """The parameter that a model is made with."""
        return [value] * self.repeated if self.repeated else value

    def floored(self, value: float, share: float) -> float:
        """`value`, or the lower bound when that has risen by `share` (0 to 1) of the logarithmic range above it."""
        if not self.regulariser or share <= 0:
            return value
        floor = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.clipped(max(value, floor))
