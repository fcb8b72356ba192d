"""What a benchmark measures of its own process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_mib(which: str = "VmHWM") -> float:
    """Resident memory at its peak since exec (VmHWM) or now (VmRSS); elsewhere than on Linux always the peak.

    ru_maxrss would start from the memory of the process that forked this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split(f"{which}:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def cpu_seconds() -> float:
    """Processor seconds of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
