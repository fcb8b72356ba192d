"""What changes slowly: GPU memory of a process tree, temperature, free disk. None where this computer does not tell."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

import psutil

from eraflow.machine.processtree import MIB

SMI_SECONDS = 10.0
PLAUSIBLE_C = (1.0, 150.0)  # broken sensors report 0, -128 or 255


def disk_free_mb(folder: Path) -> float | None:
    """Free space on the disk of `folder`, MiB, as an ordinary user may use it."""
    try:
        return shutil.disk_usage(folder).free / MIB
    except OSError:  # the folder is gone: the stage itself will say so
        return None


def vram_mb(pids: Collection[int]) -> float | None:
    """GPU memory that these processes hold together, MiB; None when nvidia-smi names none of them.

    Inside a container nvidia-smi may list no processes, or those of the host by other numbers; both give None.
    """
    found = [int(used) for pid, used in _smi("--query-compute-apps=pid,used_gpu_memory") if int(pid) in pids]
    return float(sum(found)) if found else None


def temperature_c(*, gpu: bool) -> float | None:
    """The hottest sensor of the computer, and of the GPUs when one is used; degrees Celsius."""
    found = [float(row[0]) for row in _smi("--query-gpu=temperature.gpu")] if gpu else []
    read = getattr(psutil, "sensors_temperatures", None)  # Linux and FreeBSD only
    if read is not None:
        with contextlib.suppress(OSError, ValueError):  # a driver whose files cannot be read
            found += [sensor.current for sensors in read().values() for sensor in sensors if sensor.current]
    return max((value for value in found if PLAUSIBLE_C[0] <= value <= PLAUSIBLE_C[1]), default=None)


def _smi(query: str) -> list[list[str]]:
    """The rows of one query to nvidia-smi that hold nothing but whole numbers; none when anything about it fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        done = subprocess.run(
            [command, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=SMI_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):  # a driver that does not answer is no driver for us
        return []
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return [row for row in rows if all(part.isdigit() for part in row)]  # "[N/A]" where the driver does not tell
