"""A multilayer perceptron on the five codes: trained with torch, predicted with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from models.base.ranges import Range
from models.networks import updateranges
from models.networks.networkmodel import NetworkModel
from models.networks.parameters import SHARE, SIZES, Accepted
from models.networks.perceptronarrays import forward

if TYPE_CHECKING:
    from models.networks.network import Network


class MlpModel(NetworkModel):
    """Layers of linear, layer normalisation, ReLU and dropout; one number comes out. Squared error.

    Sizes, dropout and updates are those of the best of 17 trials of `eraflow search` on eras 0001 to 0395 of
    shared/market, rounded; see docs/results.md for what that trial scored on eras that the search never saw.

    For each thread, a piece of 256 rows holds about 20 bytes for each of them times the sum of the hidden sizes.
    """

    kind = "mlp"
    defaults: ClassVar[Mapping[str, Any]] = {
        "hidden": [160, 160],
        "dropout": 0.33,
        "updates": 288,
    }
    accepted: ClassVar[Mapping[str, Accepted]] = {"hidden": SIZES, "dropout": SHARE}

    starting_points: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"hidden": [256, 256], "dropout": 0.5, "updates": 150},
        {"hidden": [256, 256], "dropout": 0.5, "updates": 200},
        {"hidden": [256, 256], "dropout": 0.5, "updates": 150, "correlation_share": 1.0},
    )

    @staticmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """See `models.base.searched.Searched`."""
        return (
            *updateranges.of_training(known["learning_rate"]),
            updateranges.dropout(0.1, 0.7),
            updateranges.hidden(len(known["hidden"])),
        )

    def _network(self, n_features: int) -> Network:
        from models.networks.perceptron import perceptron_network  # it needs torch

        return perceptron_network(n_features, self.params["hidden"], self.params["dropout"])

    _forward = staticmethod(forward)


def weight_count(params: Mapping[str, Any], columns: int) -> int:
    """How many weights it has with these params on so many columns; torch is not needed."""
    sizes = [columns, *MlpModel.usable(params)["hidden"], 1]
    return sum(before * after for before, after in pairwise(sizes))
