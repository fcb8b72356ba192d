"""Run every benchmark, one after another: `python -m benchmarks [--large] [NAME ...]`.

`--large` takes the large sizes, and only those that have one. What the aims of the project speak of stands in one table
at the end.

Each runs in a process of its own, as `python -m benchmarks.NAME` would: the memory and the imports of one do not colour
the figures of the next, and one that fails does not keep the others from running.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.aims import FILE, table

NAMES = (
    "scoring",
    "loading",
    "isolation",
    "overhead",
    "estimates",
    "datasets",
    "training",
    "orchestration",
    "prediction",
    "neutralisation",
    "search",
    "discovery",
    "truths",
    "networks",
    "neuralweek",
    "blendweights",
    "tournaments",
    "gateerrors",
    "livescores",
    "livealarm",
    "leaks",
    "contest",
)


LARGE = {
    "datasets": ["--rows", "180000", "--features", "2748"],
    "training": ["--rows", "180000", "--features", "2748", "--trees", "120"],
    "prediction": ["--rows", "240000", "--layouts", "eras,one"],
    "search": ["--seeds", "5", "--trials", "60"],
    "discovery": ["--seeds", "10"],
    "networks": ["--rows", "500000", "--rounds", "2"],
    "networkgrowth": [],
    "full": [],
}


def main(argv: list[str]) -> int:
    """Run the named benchmarks, or all of them; returns how many did not end well."""
    sizes: Mapping[str, list[str]] = LARGE if "--large" in argv else {name: [] for name in NAMES}
    names = [name for name in argv if name != "--large"] or list(sizes)
    unknown = sorted(set(names) - set(sizes))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(sizes)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "aims.jsonl"
        failed = sum(run(name, sizes[name], place) for name in names)
        print(f"\n{table(place)}", flush=True)
    return failed


def run(name: str, arguments: Sequence[str], place: Path) -> int:
    """Run one benchmark; returns 1 when it did not end well."""
    print(f"\n=== {name} " + "=" * (70 - len(name)), flush=True)
    started = time.perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    code = subprocess.run(command, check=False, env={**os.environ, FILE: str(place)}).returncode
    print(f"--- {name}: {time.perf_counter() - started:.0f} s, exit code {code}", flush=True)
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
