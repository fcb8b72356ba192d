"""torch, which is an extra: imported only when a neural model is trained, and named when it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def one_thread_an_operation() -> Iterator[None]:
    """Let torch compute each operation in the thread that asks for it, so that sums do not depend on the threads."""
    torch = torch_library()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
