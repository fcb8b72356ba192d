"""From what a child left behind to its value, or to one named error that says what to do."""

from __future__ import annotations

import importlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from eraflow.errors import EraflowError
from eraflow.machine.failures import memory_remedy, names_allocation, stage_error, timeout_remedy
from eraflow.machine.plan import FailureKind
from eraflow.machine.watch import Breach

WINDOWS_ACCESS_VIOLATION = 0xC0000005


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
            error.add_note(f"In the child process:\n{record['traceback']}")
            raise error
    kind: FailureKind = record["kind"]
    name = record["type"].rpartition(":")[2]
    problem = f"{remains.target} failed with {name}: {record['message']}"
    remedy = memory_remedy(remains.memory_mb) if kind == "oom" else _KINDS_REMEDY.get(kind, _READ_LOG)
    _raise(remains, kind, problem, remedy, detail=record["traceback"])


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
_KINDS_REMEDY: dict[str, str] = {
    "nan": "look for NaN or infinity in the inputs; lower the model's learning rate with models[].params",
    "segfault": "update or pin the library named in the traceback; machine.threads=1 avoids many such faults",
    "interrupted": "somebody ended it on purpose; run again and it goes on",
}


def _raise_by_exit(remains: Remains) -> NoReturn:
    """No record: the exit code and the last words decide."""
    code, lines = remains.returncode, "\n".join(remains.tail)
    kind, what = _by_code(code)
    if kind in ("abort", "error") and names_allocation(lines):
        kind, what = "oom", f"could not allocate memory and {what}"
    elif kind == "killed":
        what += f" (its memory was {remains.peak_mb:.0f} MiB at its highest)"
    memory = kind in ("oom", "killed", "abort")
    remedy = memory_remedy(remains.memory_mb) if memory else _KINDS_REMEDY.get(kind, _READ_LOG)
    _raise(remains, kind, f"{remains.target} {what} after {remains.seconds:.0f} s", remedy)


def _by_code(code: int) -> tuple[FailureKind, str]:
    number = -code if code < 0 else code - 128 if 128 < code < 160 else 0  # a shell in between reports 128 + signal
    if code == WINDOWS_ACCESS_VIOLATION:
        return "segfault", "crashed with an access violation"
    try:
        name = signal.Signals(number).name
    except ValueError:
        return "error", f"ended with exit code {code} and left no result"
    if name == "SIGKILL":
        return "killed", "was killed by SIGKILL, as a rule by the kernel because memory ran out"
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
