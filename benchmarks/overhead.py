"""What isolation, watch, ledger and manifest cost a stage together: `python -m benchmarks.overhead [SECONDS]`.

The same work (a fixed number of loops, calibrated to SECONDS, 60 by default) is done once by calling the function, in a
fresh interpreter that has nothing else to do, and once as a stage through `attempt_stage`: budget, estimate, child,
watch, record, ledger, manifest. On a shared computer the two are a minute apart and differ by what others do; so the
function's own time is taken inside the child too, and several shares are printed: wall against the plain call, wall
outside the function, and the processor time that this process spent on it all. The aim is under 3 % of a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.machine.estimate import Need
from eraflow.machine.job import stage_function
from eraflow.machine.plan import Plan
from eraflow.runs.attempt import Work, attempt_stage
from eraflow.settings.machine import MachineSettings

SECONDS = 60.0
AIM = 0.03
HELD_MB = 300
PLAIN = "import json; from benchmarks.overhead import work; print(json.dumps(work(loops={loops})))"


@dataclass(frozen=True)
class Loops:
    """How many there are."""

    loops: int


def work(loops: int) -> dict[str, float]:
    """Keep a core busy for a number of loops with some memory held; gives the seconds and processor seconds it took."""
    began, processor = time.perf_counter(), time.process_time()
    held = bytearray(HELD_MB << 20)
    total = 0
    for turn in range(loops):
        total += sum(range(1000))
        held[turn % len(held)] = turn & 1
    return {"seconds": time.perf_counter() - began, "processor": time.process_time() - processor}


@stage_function(Loops)
def stage(job: Loops, _out: Path, _plan: Plan) -> dict[str, Any]:
    """The work as a stage."""
    return work(job.loops)


def calibrated(seconds: float) -> int:
    """How many loops take about `seconds` here and now."""
    one, trial = work(loops=1)["processor"], 200_000
    return max(1, int(trial * seconds / (work(loops=trial)["processor"] - one)))


def plain(loops: int) -> dict[str, float]:
    """The function in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", PLAIN.format(loops=loops)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def as_stage(loops: int, folder: Path) -> dict[str, Any]:
    """The function as a stage; `wall` and `parent` are what the whole cost this process."""
    job = Work("stage", "benchmarks.overhead:stage", Loops(loops), need=Need("unknown", judged=HELD_MB))
    wall, parent = time.perf_counter(), time.process_time()
    record = attempt_stage(job, folder, MachineSettings(threads=1), log=lambda line: None, home=folder)
    spent = {"wall": time.perf_counter() - wall, "parent": time.process_time() - parent}
    return {**record.metrics, **spent}


def main(seconds: float) -> None:
    """Measure once and print."""
    loops = calibrated(seconds)
    with tempfile.TemporaryDirectory() as folder:
        as_stage(10, Path(folder) / "warm")
        called = plain(loops)
        stage = as_stage(loops, Path(folder) / "run")
    outside = stage["wall"] - stage["seconds"]
    shares = {
        "wall, stage against plain call": (stage["wall"] / called["seconds"] - 1, stage["wall"] - called["seconds"]),
        "wall, outside the function": (outside / stage["seconds"], outside),
        "processor of the watching process": (stage["parent"] / stage["seconds"], stage["parent"]),
        "processor of the function itself": (stage["processor"] / called["processor"] - 1, 0.0),
    }
    print(f"plain call {called['seconds']:.2f} s, stage {stage['wall']:.2f} s of which {stage['seconds']:.2f} s inside")
    for name, (share, took) in shares.items():
        print(f"{name:36}{100 * share:8.2f} %   {took:6.2f} s")
    verdict = "under" if outside / stage["seconds"] < AIM else "NOT under"
    print(f"{verdict} the aim of {100 * AIM:.0f} % by the wall time outside the function")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
