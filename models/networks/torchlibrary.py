"""torch, which is an extra: imported only when a neural model is trained, and named when it is missing."""

from __future__ import annotations

from typing import Any

from eraflow.machine.plan import Device, Plan
from models.base.libraries import needed


def torch_library() -> Any:
    """The module torch.

    Raises:
        MissingLibraryError: it is not installed.
    """
    with needed("a network", "torch", "leave the networks out of `models`"):
        import torch
    return torch


def usable_device(plan: Plan) -> Device:
    """The plan's device; the CPU when the plan says CUDA and torch sees no GPU."""
    return "cuda" if plan.device == "cuda" and torch_library().cuda.is_available() else "cpu"
