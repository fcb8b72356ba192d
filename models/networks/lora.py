"""Low-rank adapters on a trained network, by PEFT: put on, and merged into its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from models.networks.network import Network
from models.networks.peftlibrary import peft_library
from models.networks.weightfile import Arrays

ADAPTED = r"(encoder\..*|gather|spread)\.(query|key|value|dense|inner|outer)"
"""The linear layers of the encoder, and of the attention across an era; PEFT's `all-linear` would take the projections
and the last layer, too."""
TRAINED = ["head"]
"""The last layer is so small that it learns as a whole."""


def with_adapters(network: Network, weights: Arrays, params: Mapping[str, Any]) -> Network:
    """The network as it was trained, its weights frozen, with adapters that are not: at first they change nothing.

    Adapters begin as PEFT draws them from torch's global generator, which the training loop seeds for that. They drop
    nothing out: the dropout of the network itself is left on.

    Args:
        network: what was trained.
        weights: its state_dict as arrays.
        params: `lora_rank` and `lora_alpha`.
    """

    def make() -> torch.nn.Module:
        module = network.make()
        module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
        library = peft_library()
        config = library.LoraConfig(
            r=params["lora_rank"],
            lora_alpha=params["lora_alpha"],
            lora_dropout=0.0,
            target_modules=ADAPTED,
            modules_to_save=TRAINED,
        )
        adapted: torch.nn.Module = library.get_peft_model(module, config)
        return adapted

    return replace(network, make=make)


def merged(module: Any, like: Arrays) -> Arrays:
    """The state_dict of the network with its adapters merged into its weights, as arrays in the order of `like`.

    Args:
        module: of `with_adapters`, trained, on the CPU; it is spent afterwards.
        like: the weights before.
    """
    plain = module.merge_and_unload().state_dict()
    return {name: plain[name].numpy() for name in like}
