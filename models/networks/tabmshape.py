"""How large a TabM is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class TabmShape:
    """How large a TabM is.

    Attributes:
        k: perceptrons that share their weights but for a scale of each input and output, and a shift.
        layers: hidden layers of each.
        width: units of a layer.
        dropout: share of the units that are dropped while it is trained.
    """

    k: int
    layers: int
    width: int
    dropout: float

    def weights(self, columns: int) -> int:
        """How many weights it has on so many columns."""
        sizes = [columns, *[self.width] * self.layers]
        layers = sum(before * after + self.k * (before + 2 * after) for before, after in pairwise(sizes))
        return layers + self.k * (self.width + 1)
