"""Run every benchmark that is present, one after another: `python -m benchmarks [NAME ...]`.

Each is a module with `main(argv: list[str]) -> int`. One that fails does not keep the others from running.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
import traceback

NAMES = ("scoring", "loading", "isolation", "orchestration")


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
        failed += _run(name) != 0
        print(f"--- {name}: {time.perf_counter() - started:.0f} s", flush=True)
    return failed


def _run(name: str) -> int:
    try:
        return int(importlib.import_module(f"benchmarks.{name}").main([]) or 0)
    except Exception:  # noqa: BLE001  a benchmark that breaks is shown, and the next one still runs
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
