"""The ways a stage can die, as named errors that say which setting to change."""

from __future__ import annotations

import errno
from typing import Any, ClassVar

from eraflow.errors import EraflowError
from eraflow.machine.plan import FAILURE_KINDS, FailureKind

# What libraries say when an allocation fails, lower case. Most of them do not raise MemoryError: LightGBM raises
# LightGBMError("std::bad_alloc"), torch on the CPU a RuntimeError of its DefaultCPUAllocator, CatBoost aborts.
ALLOCATION_TEXTS = (
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "cannot allocate memory",
    "can't allocate memory",
    "unable to allocate",
    "failed to allocate",
    "could not allocate",
    "memory allocation still failed",
    "memory allocation of",  # Rust's last words before it aborts
    "malloc of size",  # arrow's
    "realloc of size",
    "not enough memory",
    "cublas_status_alloc_failed",
    "cudaerrormemoryallocation",
)
# The same shortage, met when a thread, a process or a mapping is asked for: Python's threading, libgomp, rayon (of
# polars), C++ and glibc.
SHORTAGE_TEXTS = (
    "can't start new thread",
    "resource temporarily unavailable",
    "thread creation failed",
    "pthread_create failed",
    "threadpoolbuilderror",
    "failed to spawn thread",
    "failed to create thread",
    "could not create thread",
    "mmap failed",
    "failed to mmap",
)
# Words that say whose memory it was: the same allocation texts come from the CPU and from the GPU.
GPU_WORDS = ("cuda", "cublas", "cudnn", "gpu", "vram", "hip out of memory")
# After any of these the process cannot use the GPU any more, whatever it does; the texts are the driver's own, as
# torch, XGBoost and CatBoost pass them on (cudaGetErrorString, nvidia-smi, torch.cuda).
GPU_LOST_TEXTS = (
    "device lost",
    "gpu is lost",
    "fallen off the bus",
    "an illegal memory access",
    "unspecified launch failure",
    "device(s) is/are busy or unavailable",
    "uncorrectable ecc error",
    "driver shutting down",
    "no cuda-capable device",
    "no cuda gpus are available",
    "found no nvidia driver",
    "cuda unknown error",
)
DISK_FULL_TEXTS = ("no space left on device", "disk quota exceeded", "database or disk is full")
NAN_TEXTS = ("returned nan values", "loss is nan")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHORT = frozenset({errno.ENOMEM, errno.EAGAIN})
_MEMORY_NAMES = frozenset({"MemoryError", "OutOfMemoryError"})
_NAN_NAMES = frozenset({"FloatingPointError"})


class StageError(EraflowError):
    """A stage failed in its child process.

    Attributes:
        kind: what happened, as the ledger and `next_plan` understand it.
        detail: the child's traceback or its last lines.
        peak_mb: highest memory of the child's process tree, MiB (0 when not known).
        seconds: how long the attempt took.
    """

    code = "stage_error"
    default_kind: ClassVar[FailureKind] = "error"

    def __init__(
        self,
        problem: str,
        remedy: str,
        *,
        kind: FailureKind | None = None,
        detail: str = "",
        peak_mb: float = 0.0,
        seconds: float = 0.0,
    ) -> None:
        self.kind: FailureKind = kind or self.default_kind
        self.detail = detail
        self.peak_mb = peak_mb
        self.seconds = seconds
        super().__init__(problem, remedy)


class StageOutOfMemory(StageError):
    """The stage passed its memory budget, or an allocation in it failed."""

    code = "out_of_memory"
    default_kind: ClassVar[FailureKind] = "oom"


class StageOutOfGpuMemory(StageError):
    """An allocation on the GPU failed."""

    code = "out_of_gpu_memory"
    default_kind: ClassVar[FailureKind] = "vram"


class StageGpuLost(StageError):
    """The GPU went away or will not answer any more. Its driver's own words are in the text."""

    code = "gpu_lost"
    default_kind: ClassVar[FailureKind] = "gpu_lost"


class StageDiskFull(StageError):
    """The disk is full. No plan cures it: a person makes room, then the run goes on where it stopped."""

    code = "disk_full"
    default_kind: ClassVar[FailureKind] = "disk_full"


class StageNaN(StageError):
    """The mathematics of the stage gave NaN or infinity. Stages raise it themselves for losses and predictions."""

    code = "stage_nan"
    default_kind: ClassVar[FailureKind] = "nan"


class StageDiverged(StageError):
    """The loss went far above what it had been and stayed there, or the gradients exploded."""

    code = "stage_diverged"
    default_kind: ClassVar[FailureKind] = "diverged"


class StageStalled(StageError):
    """The training learns nothing: its predictions are constant, or its loss does not move."""

    code = "stage_stalled"
    default_kind: ClassVar[FailureKind] = "stalled"


class StageTimeout(StageError):
    """The stage ran longer than it may."""

    code = "stage_timeout"
    default_kind: ClassVar[FailureKind] = "timeout"


class StageKilled(StageError):
    """Somebody ended the stage: by SIGKILL (kind "killed") or politely (kind "interrupted")."""

    code = "stage_killed"
    default_kind: ClassVar[FailureKind] = "killed"


class StageCrashed(StageError):
    """Native code ended the process: abort() (kind "abort") or a bad memory access (kind "segfault")."""

    code = "stage_crashed"
    default_kind: ClassVar[FailureKind] = "segfault"


STAGE_ERRORS: dict[FailureKind, type[StageError]] = {
    "oom": StageOutOfMemory,
    "vram": StageOutOfGpuMemory,
    "gpu_lost": StageGpuLost,
    "disk_full": StageDiskFull,
    "nan": StageNaN,
    "diverged": StageDiverged,
    "stalled": StageStalled,
    "timeout": StageTimeout,
    "killed": StageKilled,
    "interrupted": StageKilled,
    "abort": StageCrashed,
    "segfault": StageCrashed,
    "error": StageError,
}


def classify(error: BaseException) -> FailureKind:
    """What kind of failure an exception is, without importing the library it comes from.

    Goes by its own `kind`, by the names of its classes and by its text, then by what caused it.
    """
    seen: set[int] = set()
    named = False  # below an error of our own only what the system tells counts, no text
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = _kind_of(current, texts=not named)
        if kind is not None:
            return kind
        named = named or isinstance(current, EraflowError)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "error"


def _kind_of(error: BaseException, *, texts: bool) -> FailureKind | None:
    if isinstance(error, EraflowError):
        kind = getattr(error, "kind", None)  # without one it has a name of its own; its text may well speak of memory
        return kind if kind in FAILURE_KINDS else None
    if isinstance(error, OSError) and error.errno in _FULL:
        return "disk_full"
    if isinstance(error, OSError) and error.errno in _SHORT:
        return "oom"
    if not texts:
        return None
    names = {parent.__name__ for parent in type(error).__mro__}
    if names & _NAN_NAMES:
        return "nan"
    return kind_of_text(str(error)) or ("oom" if names & _MEMORY_NAMES else None)


def kind_of_text(text: str) -> FailureKind | None:
    """What a message or a tail of lines speaks of: a lost GPU, a full disk, an allocation that failed, NaN; or None."""
    lower = text.lower()
    if any(part in lower for part in GPU_LOST_TEXTS):
        return "gpu_lost"
    if any(part in lower for part in DISK_FULL_TEXTS):
        return "disk_full"
    if any(part in lower for part in ALLOCATION_TEXTS):
        return "vram" if _names_gpu(lower) else "oom"
    if any(part in lower for part in SHORTAGE_TEXTS):
        return "oom"
    return "nan" if any(part in lower for part in NAN_TEXTS) else None


def _names_gpu(lower: str) -> bool:
    """Whether the line that tells of the allocation tells of a GPU as well; other lines of a tail do not count."""
    lines = [line for line in lower.splitlines() if any(part in line for part in ALLOCATION_TEXTS)]
    return any(word in line for line in lines for word in GPU_WORDS)


def stage_error(kind: FailureKind, problem: str, remedy: str, **details: Any) -> StageError:
    """The error of the class that belongs to `kind`; `details` as in `StageError`."""
    return STAGE_ERRORS[kind](problem, remedy, kind=kind, **details)


def memory_remedy(memory_mb: float | None) -> str:
    """What to change when a stage needs more memory than its budget (MiB; None when there was none)."""
    leaner = "choose data.features=small or raise data.era_stride for a leaner stage"
    if memory_mb is None:
        return f"free some memory on this computer, or set machine.memory_mb to what it really has; or {leaner}"
    wanted = int(-(-memory_mb * 1.5 // 100) * 100)
    return f"set machine.memory_mb to {wanted} or more (now {memory_mb:.0f}) if this computer has it free; or {leaner}"


def timeout_remedy(timeout_s: float) -> str:
    """What to change when a stage needs more time than it has (seconds)."""
    minutes = timeout_s / 60
    return (
        f"set machine.stage_minutes to {max(2 * minutes, 1):.0f} (now {minutes:.3g}), "
        "give the stage more machine.threads, or learn from fewer eras with data.era_stride"
    )


REMEDIES: dict[FailureKind, str] = {
    "vram": "close what else uses the GPU, lower the model's batch_size or hidden sizes, or set machine.device=cpu",
    "gpu_lost": "look at `nvidia-smi` and the kernel log; set machine.device=cpu to do without the GPU",
    "disk_full": "make room on the disk, then run again: what was finished is kept",
    "nan": "look for NaN or infinity in the inputs; lower the model's learning_rate with models[].params",
    "diverged": "lower the model's learning_rate with models[].params",
    "stalled": "change the model's learning_rate, or lower its dropout and weight_decay, with models[].params",
    "killed": "look who ended it (the kernel log, a service manager, a person); run again and it goes on",
    "segfault": "update or pin the library named in the traceback; machine.threads=1 avoids many such faults",
    "interrupted": "somebody ended it on purpose; run again and it goes on",
}
"""What to do about a kind of failure whose remedy needs no figure."""
