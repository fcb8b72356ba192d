"""Run every benchmark that is present, one after another: `python -m benchmarks [NAME ...]`.

Each runs in a process of its own, as `python -m benchmarks.NAME` would: the memory and the imports of one do not colour
the figures of the next, and one that fails does not keep the others from running.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time

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
)


def main(argv: list[str]) -> int:
    """Run the named benchmarks, or all of them; returns how many did not end well."""
    unknown = sorted(set(argv) - set(NAMES))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    failed = 0
    for name in argv or NAMES:
        print(f"\n=== {name} " + "=" * (70 - len(name)), flush=True)
        if importlib.util.find_spec(f"benchmarks.{name}") is None:
            print("not present", flush=True)
            continue
        started = time.perf_counter()
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
        failed += code != 0
        print(f"--- {name}: {time.perf_counter() - started:.0f} s, exit code {code}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
