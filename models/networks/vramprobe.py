"""How many rows go through a network at once, by the memory that two short pieces take. Untried: no GPU was at hand."""

from __future__ import annotations

from collections.abc import Callable

import torch

from eraflow.machine.failures import classify

USED_SHARE = 0.8
"""Of the free memory: the allocator leaves holes, and other programs draw on the same GPU."""


def rows_that_fit(peak_of: Callable[[int], int], free: int, *, least: int, most: int) -> int:
    """A number of rows between `least` and `most`, halved from `most` so that little changes seldom change it.

    Args:
        peak_of: how many bytes a piece of so many rows takes at its peak; it may raise a lack of memory.
        free: bytes.
        least: rows of a piece at the least.
        most: and at the most.
    """
    if most < 2 * least:
        return most
    try:
        small, large = peak_of(least), peak_of(2 * least)
    except Exception as error:
        if classify(error) not in ("oom", "vram"):
            raise
        return least
    each = max(1.0, (large - small) / least)
    fixed = max(0.0, small - each * least)
    rows = most
    while rows > least and fixed + each * rows > USED_SHARE * free:
        rows //= 2
    return max(rows, least)


def gpu_peak(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that `work` takes on the GPU beyond what is there already."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before: int = torch.cuda.memory_allocated(device)
    work()
    torch.cuda.synchronize(device)
    peak: int = torch.cuda.max_memory_allocated(device)
    return peak - before


def gpu_free(device: torch.device) -> int:
    """Bytes that an allocation may take: free ones, and those that torch holds without using them."""
    free, _ = torch.cuda.mem_get_info(device)
    held: int = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free) + held
