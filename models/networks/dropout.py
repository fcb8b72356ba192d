"""Dropout that draws from a generator of its own, in place of torch's, which draws from the global one."""

from __future__ import annotations

import torch


class SeededDropout(torch.nn.Module):
    """Drops out units, drawn from `generator`.

    Args:
        share: of the units that are dropped; those that stay are scaled up.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tensor, with some of its values set to zero while the module is trained."""
        if not self.training:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.share, generator=self.generator)
        return x * kept / (1 - self.share)
