"""From what a child left behind to its value, or to one named error that says what to do."""

from __future__ import annotations

import importlib
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from eraflow.errors import EraflowError
from eraflow.machine.cgroups import oom_kills as group_oom_kills
from eraflow.machine.failures import REMEDIES, kind_of_text, memory_remedy, stage_error, timeout_remedy
from eraflow.machine.plan import FailureKind
from eraflow.machine.watch import Breach

WINDOWS_ACCESS_VIOLATION = 0xC0000005
NEAR_BUDGET = 0.9  # of the memory ceiling; the watchdog looks ten times a second and may miss the last of it
NO_ROOM_BYTES = 4 << 20


@dataclass(frozen=True)
class Remains:
    """What is known about a child that has ended.

    Attributes:
        target: the stage function, `package.module:function`.
        log_file: everything the child printed.
        returncode: as `subprocess` gives it: negative for a signal.
        tail: the last lines of output.
        record: the content of out.json, or None when the child left none.
        breach: which ceiling the watchdog saw passed, or None.
        at_breach_mb: memory at that moment, MiB.
        peak_mb: highest memory seen, MiB.
        seconds: how long it lived.
        memory_mb: the memory ceiling, MiB, or None.
        timeout_s: the deadline in seconds, or None.
        oom_kills_rose: whether the kernel killed anything for want of memory meanwhile; see `oom_kills`.
    """

    target: str
    log_file: Path
    returncode: int
    tail: Sequence[str]
    record: dict[str, Any] | None
    breach: Breach | None
    at_breach_mb: float
    peak_mb: float
    seconds: float
    memory_mb: float | None
    timeout_s: float | None
    oom_kills_rose: bool = False


def oom_kills() -> int:
    """How often the kernel has killed for want of memory, on this computer and in this process's control groups.

    To be read before a child starts and after it has died: only whether it rose means something. 0 where the system
    does not tell.
    """
    return _computer_oom_kills() + group_oom_kills()


def _computer_oom_kills(vmstat: Path = Path("/proc/vmstat")) -> int:
    try:
        words = dict(line.split()[:2] for line in vmstat.read_text().splitlines())
        return int(words.get("oom_kill", 0))
    except (OSError, ValueError):  # not Linux, or a kernel before 4.13
        return 0


def value_or_raise(remains: Remains) -> Any:
    """The stage's value, or the error that tells how it died: ceiling, deadline, exception, then the exit code.

    Raises:
        StageError: one of its classes, by `kind`.
        EraflowError: the very class that the stage raised, where it can be imported here.
    """
    if remains.breach == "memory":
        _raise(
            remains,
            "oom",
            f"{remains.target} was ended after {remains.seconds:.0f} s because it used {remains.at_breach_mb:.0f} MiB; "
            f"its budget is {remains.memory_mb:.0f} MiB",
            memory_remedy(remains.memory_mb),
        )
    if remains.breach == "timeout":
        seconds = remains.timeout_s or 0.0
        problem = f"{remains.target} ran longer than {seconds:.0f} s and was ended"
        _raise(remains, "timeout", problem, timeout_remedy(seconds))
    if remains.record is None:
        _raise_by_exit(remains)
    if remains.record["ok"]:
        return remains.record["value"]
    _raise_recorded(remains, remains.record)


def _raise_recorded(remains: Remains, record: dict[str, Any]) -> NoReturn:
    """The exception that the child noted: its own class for our named errors, else the kind it was classified as."""
    if "problem" in record:
        error = _same_class(record)
        if error is not None:
            vars(error).update(peak_mb=remains.peak_mb, seconds=remains.seconds)
            if record["kind"] != "error":  # a storage error of a full disk, say, so that the ledger calls it so
                vars(error).update(kind=record["kind"])
            error.add_note(f"In the child process:\n{record['traceback']}")
            raise error
    kind: FailureKind = record["kind"]
    name = record["type"].rpartition(":")[2]
    problem = f"{remains.target} failed with {name}: {record['message']}"
    _raise(remains, kind, problem, _remedy(remains, kind), detail=record["traceback"])


def _same_class(record: dict[str, Any]) -> EraflowError | None:
    """The error as it was in the child, made without its own constructor: the texts are final already."""
    module, _, qualname = record["type"].partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):  # a class made inside a function, or a module that is not to be had here
        return None
    if not isinstance(found, type) or not issubclass(found, EraflowError):
        return None
    error = found.__new__(found)
    EraflowError.__init__(error, record["problem"], record["remedy"])
    vars(error).update(record["attributes"])
    return error


_READ_LOG = "read the traceback there, correct the cause, then run again: what was finished is kept"


def _remedy(remains: Remains, kind: FailureKind) -> str:
    return memory_remedy(remains.memory_mb) if kind in ("oom", "abort") else REMEDIES.get(kind, _READ_LOG)


def _raise_by_exit(remains: Remains) -> NoReturn:
    """No record: the exit code, what the kernel counted and the last words decide."""
    kind, what = _by_code(remains.returncode)
    spoken = kind_of_text("\n".join(remains.tail))
    if kind in ("abort", "error") and spoken is not None:
        kind, what = spoken, f"{_SPOKEN.get(spoken, spoken)} and {what}"
    elif kind == "killed":
        kind, what = _killed(remains)
    elif kind == "segfault" and remains.returncode == -signal.SIGBUS and _no_room(remains.log_file):
        # Writing to a mapped file on a full disk: no exception, only this signal.
        kind, what = "disk_full", f"{what} while it wrote to a disk that is full"
    _raise(remains, kind, f"{remains.target} {what} after {remains.seconds:.0f} s", _remedy(remains, kind))


_SPOKEN: dict[FailureKind, str] = {
    "oom": "could not allocate memory",
    "vram": "could not allocate memory on the GPU",
    "gpu_lost": "lost the GPU",
    "disk_full": "found the disk full",
    "nan": "met NaN",
}


def _killed(remains: Remains) -> tuple[FailureKind, str]:
    """SIGKILL: by the kernel because memory ran out, or by somebody else."""
    highest = f"its memory was {remains.peak_mb:.0f} MiB at its highest"
    if remains.oom_kills_rose:
        return "oom", f"was killed by the kernel because memory ran out ({highest})"
    if remains.memory_mb is not None and remains.peak_mb >= NEAR_BUDGET * remains.memory_mb:
        return "oom", f"was killed by SIGKILL close to its budget of {remains.memory_mb:.0f} MiB ({highest})"
    return "killed", f"was killed by SIGKILL without a sign that memory was short ({highest})"


def _no_room(log_file: Path) -> bool:
    try:
        return shutil.disk_usage(log_file.parent).free < NO_ROOM_BYTES
    except OSError:
        return False


def _by_code(code: int) -> tuple[FailureKind, str]:
    number = -code if code < 0 else code - 128 if 128 < code < 160 else 0  # a shell in between reports 128 + signal
    if code == WINDOWS_ACCESS_VIOLATION:
        return "segfault", "crashed with an access violation"
    try:
        name = signal.Signals(number).name
    except ValueError:
        return "error", f"ended with exit code {code} and left no result"
    if name == "SIGKILL":
        return "killed", "was killed by SIGKILL"
    if name == "SIGABRT":
        return "abort", "was aborted by native code (SIGABRT)"
    if name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE"):
        return "segfault", f"crashed in native code ({name})"
    return "interrupted", f"was ended by {name}"


def _raise(remains: Remains, kind: FailureKind, problem: str, remedy: str, *, detail: str = "") -> NoReturn:
    raise stage_error(
        kind,
        problem,
        f"{remedy} (output in {remains.log_file})",
        detail=detail or "\n".join(remains.tail),
        peak_mb=remains.peak_mb,
        seconds=remains.seconds,
    )
