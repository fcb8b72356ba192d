"""A supervised autoencoder on the five codes: trained with torch, predicted with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from models.base.ranges import Range
from models.networks import mlp, updateranges
from models.networks.autoencoderarrays import forward
from models.networks.networkmodel import NetworkModel
from models.networks.parameters import FROM_ZERO, SHARE, SIZES, WHOLE, Accepted

if TYPE_CHECKING:
    from models.networks.network import Network


class AutoencoderModel(NetworkModel):
    """A code of the features with noise, a decoder of it, and a perceptron on features and code, trained together.

    The loss is the squared error of the prediction plus `reconstruction` times that of the features. Prediction does
    without the decoder. With `correlation_share=1` nothing of that loss is left, and nothing makes the code
    tell the features.

    For each thread, a piece of 256 rows holds about 20 bytes for each of them times the sum of the hidden sizes, and
    16 times the number of features.
    """

    kind = "autoencoder"
    # Sizes, noise and dropout are those of the prototype that came nearest to LightGBM on shared/market; it was chosen
    # on the eras that it was judged on, so they are where a search begins. The weight of the features was not varied.
    defaults: ClassVar[Mapping[str, Any]] = {
        "hidden": [256, 256],
        "dropout": 0.5,
        "code": 32,
        "noise": 0.1,
        "reconstruction": 1.0,
    }
    accepted: ClassVar[Mapping[str, Accepted]] = {
        "hidden": SIZES,
        "dropout": SHARE,
        "code": WHOLE,
        "noise": FROM_ZERO,
        "reconstruction": FROM_ZERO,
    }

    starting_points: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"updates": 200},
        {"correlation_share": 0.5},
        {"updates": 250, "reconstruction": 0.2},
    )

    @staticmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """See `models.base.searched.Searched`."""
        return (
            *updateranges.of_training(known["learning_rate"]),
            updateranges.dropout(0.1, 0.7),
            updateranges.hidden(len(known["hidden"])),
            Range("code", 8, 128, "a code as wide as the features tells nothing that they do not", integer=True),
            Range("noise", 0.03, 1.0, "in standard deviations of a feature: hardly any to as much as the feature"),
            Range("reconstruction", 0.05, 5.0, "the weight of the features' error; it was never varied before"),
        )

    unneeded: ClassVar[tuple[str, ...]] = ("decoder.",)

    def _network(self, n_features: int) -> Network:
        from models.networks.supervisedautoencoder import autoencoder_network  # it needs torch

        own = {name: self.params[name] for name in ("code", "noise", "dropout", "reconstruction")}
        return autoencoder_network(n_features, self.params["hidden"], **own)

    _forward = staticmethod(forward)


def weight_count(params: Mapping[str, Any], columns: int) -> int:
    """How many weights it has with these params on so many columns; torch is not needed."""
    size = int(AutoencoderModel.usable(params)["code"])
    return mlp.weight_count(params, columns + size) + 2 * columns * size
