"""What this computer has free, and the first plan and memory budget that follow from it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from eraflow.errors import EraflowError
from eraflow.machine.cgroups import MIB, GroupLimits, group_limits
from eraflow.machine.plan import MIN_ROWS_IN_MEMORY, Device, Plan

if TYPE_CHECKING:  # the command's help needs no pydantic
    from eraflow.settings.machine import MachineSettings

MIN_MEMORY_MB = 300  # Python, NumPy, a booster and one small block of rows
SHARE_OF_FREE = 0.85  # the rest is for the flow itself and for what others take meanwhile
DISK_FLOOR_MB = 512  # databases, logs and the system itself go on writing when a stage has filled the rest
DISK_FLOOR_SHARE = 0.05
MIN_FREE_VRAM_MB = 2_048  # a CUDA context alone takes several hundred MiB
# One decoded row of the widest data set: about 3,000 features, int8 as read and float32 as a library converts it.
BYTES_PER_ROW = 3_000 * (1 + 4)
SHARE_FOR_ROWS = 1 / 8  # of the budget: decoding, conversion and the library's copy each hold such a block


class NotEnoughMemoryError(EraflowError):
    """Too little memory is free to begin a stage at all."""

    code = "not_enough_memory"


class NoGpuError(EraflowError):
    """The settings ask for a GPU and none is to be seen."""

    code = "no_gpu"
    exit_code = 2


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU that this process may use. Memory in MiB."""

    name: str
    vram_total_mb: int
    vram_free_mb: int


@dataclass(frozen=True)
class Resources:
    """What this process may use. Memory and disk in MiB.

    Attributes:
        cores: by affinity and CPU quota.
        ram_total_mb: of the computer, or of the container where that is less.
        ram_available_mb: free now for this process, container limits respected.
        disk_free_mb, disk_total_mb: on the disk of the folder that was asked about.
        gpus: NVIDIA GPUs; empty without a driver.
        container_limit_mb: memory limit of the control groups; None when there is none.
    """

    cores: int
    ram_total_mb: int
    ram_available_mb: int
    disk_free_mb: int
    gpus: tuple[Gpu, ...] = ()
    container_limit_mb: int | None = None
    disk_total_mb: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, for provenance."""
        return asdict(self)


def probe(folder: Path | str = ".") -> Resources:
    """Look at this computer. Never fails for what is not there; `folder` may not exist yet."""
    limits = group_limits()
    total, disk = psutil.virtual_memory().total / MIB, shutil.disk_usage(_existing(Path(folder)))
    limit = limits.memory_limit_mb if limits.memory_limit_mb is not None and limits.memory_limit_mb < total else None
    return Resources(
        cores=_cores(limits),
        ram_total_mb=int(total if limit is None else limit),
        ram_available_mb=int(free_memory_mb(limits)),
        disk_free_mb=int(disk.free / MIB),
        disk_total_mb=int(disk.total / MIB),
        gpus=_gpus(),
        container_limit_mb=None if limit is None else int(limit),
    )


def free_memory_mb(limits: GroupLimits | None = None) -> float:
    """Memory that this process could still take, container limits respected, MiB."""
    free = (limits or group_limits()).memory_free_mb
    available = psutil.virtual_memory().available / MIB
    return float(available if free is None else min(available, free))


def total_memory_mb() -> float:
    """Memory of the computer, or of the container where that is less, MiB: what could be free at the most."""
    total, limit = psutil.virtual_memory().total / MIB, group_limits().memory_limit_mb
    return float(total if limit is None else min(total, limit))


def _cores(limits: GroupLimits) -> int:
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # macOS and Windows have no affinity call in the standard library
        cores = os.cpu_count() or 1
    # A quota of 1.5 cores gives one thread: two would be throttled together half of the time.
    return cores if limits.cores is None else max(1, min(cores, int(limits.cores)))


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not os.path.exists(folder):  # pathlib raises where this user may not look
        folder = folder.parent
    return folder


def _gpus() -> tuple[Gpu, ...]:
    """The GPUs that nvidia-smi shows and CUDA_VISIBLE_DEVICES allows; none when anything about them fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    query = [command, "--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):  # a driver that does not answer is no driver for us
        return ()
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()]
    whole = [row for row in rows if len(row) == 5 and row[3].isdigit() and row[4].isdigit()]
    return tuple(Gpu(row[2], int(row[3]), int(row[4])) for row in whole if _visible(row[0], row[1]))


def _visible(index: str, uuid: str) -> bool:
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return True
    return any(
        name == index or (name.startswith("GPU-") and uuid.startswith(name))
        for name in (part.strip() for part in allowed.split(","))
    )


def disk_floor_mb(resources: Resources, settings: MachineSettings) -> int:
    """What is to stay free on the stage's disk, MiB: the setting, else 512, and on a small disk a twentieth of it."""
    if settings.disk_floor_mb is not None:
        return settings.disk_floor_mb
    return min(DISK_FLOOR_MB, int(resources.disk_total_mb * DISK_FLOOR_SHARE))


def memory_budget_mb(resources: Resources, settings: MachineSettings) -> int:
    """Memory that the process tree of one stage may use, MiB: the setting, and never over 85 % of what is free.

    Raises:
        NotEnoughMemoryError: when that is less than 300 MiB.
    """
    free = int(resources.ram_available_mb * SHARE_OF_FREE)
    budget = free if settings.memory_mb is None else min(settings.memory_mb, free)
    if budget < MIN_MEMORY_MB:
        container = "" if resources.container_limit_mb is None else f", a limit of {resources.container_limit_mb} MiB"
        raise NotEnoughMemoryError(
            f"{resources.ram_available_mb} MiB are free of {resources.ram_total_mb} MiB{container}; 85 % of that is "
            f"{free} MiB and a stage needs at least {MIN_MEMORY_MB} MiB",
            "close other programs, or raise the memory limit of the container or service, then run again",
        )
    return budget


def first_plan(resources: Resources, settings: MachineSettings) -> Plan:
    """The plan of the first attempt of a stage whose need is not known; see `eraflow.machine.estimate` for the others.

    Raises:
        NotEnoughMemoryError: see `memory_budget_mb`.
        NoGpuError: when the settings ask for CUDA and there is no GPU.
    """
    return blind_plan(roomiest_plan(resources, settings), memory_budget_mb(resources, settings))


def roomiest_plan(resources: Resources, settings: MachineSettings) -> Plan:
    """All threads, the GPU if there is one, and rows as if memory were no matter.

    Raises:
        NoGpuError: see `first_plan`.
    """
    return Plan(threads=settings.threads or resources.cores, device=_device(resources, settings))


def blind_plan(plan: Plan, budget_mb: float) -> Plan:
    """`plan` with as many rows at once as are safe under a budget (MiB) whatever the stage may be."""
    rows = 1 << (int(max(budget_mb, MIN_MEMORY_MB) * MIB * SHARE_FOR_ROWS / BYTES_PER_ROW).bit_length() - 1)
    return replace(plan, rows_in_memory=min(max(rows, MIN_ROWS_IN_MEMORY), plan.rows_in_memory))


def _device(resources: Resources, settings: MachineSettings) -> Device:
    if settings.device == "cuda" and not resources.gpus:
        raise NoGpuError(
            "machine.device is cuda, and nvidia-smi shows no GPU to this process",
            "set machine.device=auto or machine.device=cpu, or install the NVIDIA driver and look at `nvidia-smi`",
        )
    roomy = any(gpu.vram_free_mb >= MIN_FREE_VRAM_MB for gpu in resources.gpus)
    return "cuda" if settings.device == "cuda" or (settings.device == "auto" and roomy) else "cpu"
