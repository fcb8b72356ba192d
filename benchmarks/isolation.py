"""What isolation costs: `python -m benchmarks isolation`.

Compares `run_isolated` with calling the function. The extra time is the wall time of the call minus the time the
function took inside the child, so that a busy computer does not hide or invent it. The cost of watching is the
processor time that the parent spends meanwhile.
"""

from __future__ import annotations

import statistics
import tempfile
import time

from eraflow.machine.isolate import run_isolated

STAGE_SECONDS = 10.0
CALLS = 15
HERE = "benchmarks.isolation"


def work(seconds: float) -> float:
    """Keep a core busy for a while; gives the time it really took."""
    began = time.perf_counter()
    total = 0
    while time.perf_counter() - began < seconds:
        total += sum(range(1000))
    return time.perf_counter() - began


def isolated(seconds: float, folder: str) -> tuple[float, float]:
    """Extra wall seconds of one isolated call, and the parent's processor seconds during it."""
    wall, processor = time.perf_counter(), time.process_time()
    outcome = run_isolated(
        f"{HERE}:work", {"seconds": seconds}, memory_mb=2000, timeout_s=600, log=print, folder=folder
    )
    return time.perf_counter() - wall - outcome.value, time.process_time() - processor


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        isolated(0.0, folder)
        extra = [isolated(0.0, folder)[0] for _ in range(CALLS)]
        plain = [work(0.0) for _ in range(CALLS)]
        long_extra, watching = isolated(STAGE_SECONDS, folder)
    print(f"empty function, called     {1000 * statistics.median(plain):8.2f} ms")
    print(f"empty function, isolated   {1000 * statistics.median(extra):8.2f} ms (worst {1000 * max(extra):.0f})")
    print(f"{STAGE_SECONDS:.0f} s stage, isolated       {100 * long_extra / STAGE_SECONDS:8.2f} % longer than called")
    print(f"watching a {STAGE_SECONDS:.0f} s stage      {100 * watching / STAGE_SECONDS:8.2f} % of one core")


if __name__ == "__main__":
    main()
