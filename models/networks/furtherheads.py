"""Heads for targets that a network learns beside its own; they share all but its last layer, and are not shipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from models.base.protocol import ModelSettingsError
from models.networks.network import Judged, Loss, Network, Piece

LastLayer = Callable[[Any], torch.nn.Module]


class WithFurtherHeads(torch.nn.Module):
    """A network with a linear layer more, which reads what the network's own last layer reads.

    Attributes:
        without_heads: the network by itself: what is saved.

    Args:
        network: it is made first, so that it begins with the same weights as without further heads.
        last: its last layer, whose weight is [outputs, inputs] or, of several networks in one, [k, inputs, outputs].
        heads: how many targets there are besides.
    """

    def __init__(self, network: torch.nn.Module, last: LastLayer, heads: int) -> None:
        super().__init__()
        self.without_heads, self._last = network, last
        weight: Any = last(network).weight
        inputs = int(weight.shape[1])
        self.heads = torch.nn.Linear(inputs, heads)
        with torch.no_grad():  # so that the training begins near a constant
            self.heads.weight.normal_(0.0, 0.1 / math.sqrt(inputs))
            self.heads.bias.zero_()

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network gives, and float[n, heads], or [n, k, heads] of several networks in one."""
        read: list[torch.Tensor] = []
        hook = self._last(self.without_heads).register_forward_pre_hook(lambda _, given: read.append(given[0]))
        try:
            own = self.without_heads(*given)
        finally:
            hook.remove()
        return own, self.heads(torch.cat(read))


@dataclass(frozen=True)
class WithFurtherTargets:
    """A network's own loss, and with a weight each the squared errors of the further targets.

    A row counts for every target that is known there; the sum is divided by the rows whose own target is known.

    Attributes:
        own: the network's loss, of its own target.
        weights: of the others.
        constant: not known: it depends on where which target is known.
    """

    own: Loss
    weights: tuple[float, ...]
    constant: float | None = None

    def __call__(self, output: Any, piece: Piece) -> Judged:
        """See `models.networks.network.Loss`.

        Args:
            output: of `WithFurtherHeads`.
            piece: its targets are [m, 1 + k], the own one first; [m] where only that is judged.
        """
        mine, others = output
        if piece.targets.ndim == 1:
            return self.own(mine, piece)
        judged = self._own(mine, Piece(piece.targets[:, 0], piece.offsets))
        total = judged.total
        found = others.float().reshape(len(mine), -1, len(self.weights))  # [m, networks in one, k]
        for number, weight in enumerate(self.weights):
            targets = piece.targets[:, 1 + number]
            known = ~targets.isnan()
            errors = (found[known, :, number] - targets[known, None]).square().mean(dim=1)
            total = total + weight * errors.sum()
        return replace(judged, total=total)

    def _own(self, mine: torch.Tensor, piece: Piece) -> Judged:
        """In a batch of rows the loss expects that every target is known."""
        if piece.offsets is not None:
            return self.own(mine, piece)
        known = ~piece.targets.isnan()
        return self.own(mine[known], Piece(piece.targets[known], None))


def with_further_targets(network: Network, weights: tuple[float, ...]) -> Network:
    """The network with a head for each further target.

    Raises:
        ModelSettingsError: the network does not say which its last layer is.
    """
    last = network.last
    if last is None:
        raise ModelSettingsError("this network learns one target", "leave also_learn out")

    def make() -> torch.nn.Module:
        return WithFurtherHeads(network.make(), last, len(weights))

    return replace(network, make=make, loss=WithFurtherTargets(network.loss, weights))
