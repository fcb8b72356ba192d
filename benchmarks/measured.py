"""What a benchmark measures of its own process."""

from __future__ import annotations

import resource
import sys
import threading
import time
from pathlib import Path

LOOK_SECONDS = 0.004


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


class Peak(threading.Thread):
    """The highest memory of this process that the kernel cannot drop, MiB; looked at every `look_seconds`."""

    def __init__(self, look_seconds: float = LOOK_SECONDS) -> None:
        super().__init__(daemon=True)
        self._look_seconds = look_seconds
        self.highest = held_mib()

    def run(self) -> None:
        while True:
            self.highest = max(self.highest, held_mib())
            time.sleep(self._look_seconds)


def held_mib() -> float:
    """Memory of this process that the kernel cannot drop, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024
