"""Copies of a module, one for each thread that calls it.

One module called from several threads gives silently wrong gradients: its parameters are the leaves of every thread's
graph at once. A copy has parameters of its own over the same storage, so nothing is copied when the weights change.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from models.networks.dropout import SeededDropout


class ModuleCopy:
    """A copy of a module for one thread at a time.

    Attributes:
        module: the copy. Its parameters share their storage with the original's, its buffers are its own, and its
            `torch.nn.Dropout` are seeded ones.
        parameters: those that are trained, in the order of `trained`.

    Args:
        original: the module that is trained.
    """

    def __init__(self, original: torch.nn.Module) -> None:
        stand_ins: dict[int, Any] = {}  # what deepcopy takes in place of an object, by its id
        for parameter in original.parameters():
            stand_ins[id(parameter)] = torch.nn.Parameter(parameter.detach(), parameter.requires_grad)
        for part in original.modules():
            if type(part) is torch.nn.Dropout and part.p > 0:
                stand_ins[id(part)] = SeededDropout(part.p)
        self.module = copy.deepcopy(original, stand_ins)
        self.module.train()
        self.parameters = trained(self.module)
        self._drawing = [part for part in self.module.modules() if hasattr(part, "generator")]
        self._buffers = list(zip(self.module.buffers(), original.buffers(), strict=True))

    def begin(self, generator: torch.Generator) -> None:
        """Make the copy ready for a piece: the original's buffers, and what everything random is drawn from."""
        for mine, theirs in self._buffers:
            mine.copy_(theirs)
        for part in self._drawing:
            part.generator = generator

    def changes(self) -> list[torch.Tensor | None]:
        """How each buffer has changed since `begin`, in the order of the module's buffers; None for truth values."""
        return [_difference(mine, theirs) for mine, theirs in self._buffers]


def trained(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The parameters of a module that are trained."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _difference(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor | None:
    """Exactly zero where nothing has changed, also where a buffer is infinite."""
    if now.dtype == torch.bool:
        return None
    return torch.where(now == before, torch.zeros_like(now), now - before)
