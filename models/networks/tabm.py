"""A TabM on the five codes: trained with torch and the package tabm, predicted with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from models.base.ranges import Range
from models.networks import updateranges
from models.networks.networkmodel import NetworkModel
from models.networks.parameters import SHARE, WHOLE, Accepted
from models.networks.tabmarrays import forward
from models.networks.tabmlibrary import tabm_library
from models.networks.tabmshape import TabmShape

if TYPE_CHECKING:
    from models.networks.network import Network

SIZES = ("k", "layers", "width")


class TabmModel(NetworkModel):
    """k perceptrons in one, with shared weights; the mean of their predictions (Gorishniy et al., TabM, 2025).

    They differ by a scale of each layer's inputs and outputs and by a shift; each has a last layer of its own. The loss
    is the mean of the k squared errors.

    For each thread, a piece of 256 rows holds about 3 KiB x k x (features + twice the sum of the hidden sizes).
    """

    kind = "tabm"
    library = "tabm"
    # Those of the better of two configurations that were tried on shared/market, 88 % of LightGBM's CORR; it was chosen
    # on the eras that it was judged on, so they are where a search begins.
    defaults: ClassVar[Mapping[str, Any]] = {
        "k": 8,
        "layers": 2,
        "width": 128,
        "dropout": 0.3,
        "learning_rate": 0.002,
    }
    accepted: ClassVar[Mapping[str, Accepted]] = {**dict.fromkeys(SIZES, WHOLE), "dropout": SHARE}

    starting_points: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"updates": 200},
        {"updates": 200, "dropout": 0.5, "learning_rate": 0.001},
    )

    @staticmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """See `models.base.searched.Searched`."""
        return (
            *updateranges.of_training(known["learning_rate"]),
            updateranges.dropout(0.1, 0.6),
            Range("k", 4, 16, "members: its authors use 32 on far more updates; time grows with it", integer=True),
            Range("width", 32, 256, "as the mlp's, and half of it, since k of them share it", integer=True),
        )

    def _network(self, n_features: int) -> Network:
        from models.networks.tabmensemble import tabm_network  # it needs torch

        return tabm_network(n_features, TabmShape(**self.usable(self.params)))

    def _version(self) -> str:
        return str(tabm_library().__version__)

    _forward = staticmethod(forward)


def weight_count(params: Mapping[str, Any], columns: int) -> int:
    """How many weights it has with these params on so many columns; torch is not needed."""
    return TabmShape(**TabmModel.usable(params)).weights(columns)
