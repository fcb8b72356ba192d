"""torch, which is an extra: imported only when a neural model is trained, and named when it is missing."""

from __future__ import annotations

from typing import Any

from eraflow.machine.plan import Device, Plan
from models.base.libraries import MissingLibraryError


def torch_library() -> Any:
    """The module torch.

    Raises:
        MissingLibraryError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingLibraryError(
            f"neural models need torch, and it cannot be imported ({error})",
            "install it with `pip install 'eraflow[networks]'`, or leave the neural models out of `models`",
        ) from error
    return torch


def usable_device(plan: Plan) -> Device:
    """The plan's device; the CPU when the plan says CUDA and torch sees no GPU."""
    return "cuda" if plan.device == "cuda" and torch_library().cuda.is_available() else "cpu"
