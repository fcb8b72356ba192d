"""The ways a stage can die, as named errors that say which setting to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from eraflow.errors import EraflowError

if TYPE_CHECKING:  # this module is loaded in the child, which starts with as little as possible
    from eraflow.machine.plan import FailureKind

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
    "cublas_status_alloc_failed",
    "cudaerrormemoryallocation",
)
NAN_TEXTS = ("returned nan values", "loss is nan")
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


class StageNaN(StageError):
    """The mathematics of the stage gave NaN or infinity. Stages raise it themselves for losses and predictions."""

    code = "stage_nan"
    default_kind: ClassVar[FailureKind] = "nan"


class StageTimeout(StageError):
    """The stage ran longer than it may."""

    code = "stage_timeout"
    default_kind: ClassVar[FailureKind] = "timeout"


class StageKilled(StageError):
    """Somebody ended the stage: by SIGKILL (kind "killed", as a rule the kernel) or politely (kind "interrupted")."""

    code = "stage_killed"
    default_kind: ClassVar[FailureKind] = "killed"


class StageCrashed(StageError):
    """Native code ended the process: abort() (kind "abort") or a bad memory access (kind "segfault")."""

    code = "stage_crashed"
    default_kind: ClassVar[FailureKind] = "segfault"


STAGE_ERRORS: dict[str, type[StageError]] = {
    "oom": StageOutOfMemory,
    "nan": StageNaN,
    "timeout": StageTimeout,
    "killed": StageKilled,
    "interrupted": StageKilled,
    "abort": StageCrashed,
    "segfault": StageCrashed,
    "error": StageError,
}


def classify(error: BaseException) -> FailureKind:
    """What kind of failure an exception is, without importing the library it comes from.

    Goes by the names of its classes and by its text, then by what caused it.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = _kind_of(current)
        if kind is not None:
            return kind
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "error"


def _kind_of(error: BaseException) -> FailureKind | None:
    if isinstance(error, StageError):
        return error.kind
    if isinstance(error, EraflowError):
        return "error"  # it has a name of its own; its text may well speak of memory
    names = {parent.__name__ for parent in type(error).__mro__}
    text = str(error).lower()
    if names & _MEMORY_NAMES or names_allocation(text):
        return "oom"
    if names & _NAN_NAMES or any(part in text for part in NAN_TEXTS):
        return "nan"
    return None


def names_allocation(text: str) -> bool:
    """Whether a message or a tail of lines speaks of an allocation that failed."""
    lower = text.lower()
    return any(part in lower for part in ALLOCATION_TEXTS)


def stage_error(kind: FailureKind, problem: str, remedy: str, **details: Any) -> StageError:
    """The error of the class that belongs to `kind`; `details` as in `StageError`."""
    return STAGE_ERRORS[kind](problem, remedy, kind=kind, **details)


def memory_remedy(memory_mb: float | None) -> str:
    """What to change when a stage needs more memory than its budget (MiB; None when there was none)."""
    leaner = "choose data.feature_set=small or raise data.era_stride for a leaner stage"
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
