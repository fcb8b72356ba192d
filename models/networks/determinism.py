"""What torch can pin on a GPU, so that a training can be repeated there. Untried: no GPU was at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from eraflow.machine.plan import Plan
from models.networks.torchlibrary import usable_device

WORKSPACE, FIXED_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
"""Without it cuBLAS may choose another algorithm for the same product (NVIDIA's documentation of cuBLAS); 24 MiB."""


@contextmanager
def pinned(plan: Plan, *, wanted: bool) -> Iterator[None]:
    """Deterministic algorithms, cuDNN's too, cuBLAS's workspace and no TF32, while the block lasts.

    On the CPU nothing is to be pinned: the pieces are. An operation that has no deterministic form is warned of by
    torch, and trains. It costs speed on a GPU, how much was not measured: no TF32 in products of float32, and slower
    sums where many values go to one place (`index_add`, `scatter`).

    Args:
        plan: where it is trained.
        wanted: whether; otherwise torch is left as it is.
    """
    if not wanted or usable_device(plan) == "cpu":
        yield
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )
    os.environ.setdefault(WORKSPACE, FIXED_WORKSPACE)  # it is read when cuBLAS is first used
    _set(True, True, True, False, False, False)
    try:
        yield
    finally:
        _set(*before)


def _set(*values: bool) -> None:
    algorithms, warn_only, cudnn, benchmark, cudnn_tf32, matmul_tf32 = values
    torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn, benchmark
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = cudnn_tf32, matmul_tf32
