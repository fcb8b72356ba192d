"""The prediction of `eraflow predict` in a process of its own, and its progress on stderr."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from eraflow.machine.apart import again_if_killed, failures_while
from eraflow.machine.isolate import IsolatedResult, run_isolated
from eraflow.machine.progress import Progress, readable_seconds
from eraflow.machine.resources import first_plan, memory_budget_mb, probe
from eraflow.settings.machine import MachineSettings
from flows.command.terminal.outputs import tell

LITTLE_MB = 2_048
"""With less memory free than this, it is spared at some cost of time."""
LITTLE = {
    "POLARS_MAX_THREADS": "1",  # each thread of a reader has buffers of its own
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1048576",  # larger blocks go back to the system at once
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Environment of a process that is to stay small; it counts only before the libraries are loaded."""


def predict_apart(
    arguments: argparse.Namespace, folder: Path, data: Path, out: Path, scratch: Path, oof_file: str | None
) -> IsolatedResult:
    """Predict in a process of its own; what it returned, and the memory it took."""
    resources = probe(Path.cwd())
    plan = first_plan(resources, MachineSettings())
    little = arguments.little_memory or resources.ram_available_mb < LITTLE_MB
    work = {
        "ensemble": str(folder),
        "data": str(data),
        "out": str(out),
        "plan": plan.as_dict(),
        "features": arguments.features,
        "oof_file": oof_file,
        "prefetch": "off" if little else arguments.prefetch,
    }
    shown = ProgressLine()
    limits: dict[str, Any] = {
        "memory_mb": memory_budget_mb(resources, MachineSettings(memory_mb=None)),
        "timeout_s": None,
        "env": LITTLE if little else {},
        "threads": plan.threads,
        "on_progress": shown.show,
    }
    try:
        with failures_while(f"{data} was predicted"):
            return again_if_killed(
                lambda: run_isolated(
                    "models.prediction.predict:predict_file", work, log=tell, folder=scratch / "work", **limits
                ),
                tell,
            )
    finally:
        shown.end()


class ProgressLine:
    """The progress on stderr: one line that is written over on a terminal, else a line every ten seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._next = time.monotonic() + (0.0 if self._terminal else 10.0)
        self._width = 0

    def show(self, progress: Progress) -> None:
        """Write it, where it is time for the next line."""
        if time.monotonic() < self._next:
            return
        left = "" if progress.seconds_left is None else f", about {readable_seconds(progress.seconds_left)} left"
        text = f"{progress.fraction:.0%} {progress.label}{left}"
        if self._terminal:
            text = text[: shutil.get_terminal_size().columns - 1]  # a line that is broken cannot be written over
            sys.stderr.write(f"\r{text}\x1b[K")
            self._width = len(text)
        else:
            sys.stderr.write(f"{text}\n")
            self._next = time.monotonic() + 10.0
        sys.stderr.flush()

    def end(self) -> None:
        """Go to the next line where one was written over."""
        if self._width:
            sys.stderr.write("\n")
