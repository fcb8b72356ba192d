"""From what became of a rehearsal's process to named faults of the model."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from eraflow.errors import EraflowError
from eraflow.machine.failures import ALLOCATION_TEXTS
from eraflow.rehearsal.confinedrun import Outcome, Room
from eraflow.rehearsal.faults import (
    BY_CODE,
    PickleFailedError,
    PickleMemoryError,
    PickleModuleError,
    PickleNetworkError,
    PicklePartError,
    PickleProjectError,
    PicklePythonError,
    PickleTimeError,
    PickleUnreadableError,
    RehearsalFault,
    fault,
)
from eraflow.rehearsal.picklescan import OURS
from eraflow.rehearsal.pins import PRESENT

BEFORE_THE_MODEL = ("starting", "importing")
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGBUS, signal.SIGFPE}
CONTAINER_KILLED = 137
OF_BYTE_CODE = ("TypeError", "ValueError", "SystemError")


class RehearsalNotPossibleError(EraflowError):
    """A rehearsal could not be held on this computer; nothing is said of the model."""

    code = "rehearsal_not_possible"


def faults_of(outcome: Outcome, room: Room, python: str) -> list[RehearsalFault]:
    """The faults that a process has shown; none: it did what it should.

    Raises:
        RehearsalNotPossibleError: it failed before the model was touched.
    """
    report = outcome.report
    if ended := _ended(outcome, room, python):
        return [ended]
    if report["error"] is not None:
        return [_raised(report["error"], report["step"], python)]
    found = [fault(BY_CODE[code], text) for code, text in report["problems"]]
    return found + [_differs(part) for part in report.get("parts", []) if not part["difference"] <= part["tolerance"]]


def nearest_to_its_limit(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the compared parts the one whose difference takes the most of its tolerance."""
    return max(parts, key=lambda part: float(part["difference"] / part["tolerance"]))


def _ended(outcome: Outcome, room: Room, python: str) -> RehearsalFault | None:
    step = outcome.report["step"]
    killed = outcome.ended_by is None and outcome.returncode in (-signal.SIGKILL, CONTAINER_KILLED)
    if outcome.ended_by == "memory" or killed:
        return fault(PickleMemoryError, f"more than {room.memory_mb:.0f} MiB of memory were taken while {step}")
    if outcome.ended_by == "time":
        return fault(PickleTimeError, f"it was not done after {room.seconds:.0f} seconds, while {step}")
    if outcome.returncode < 0 and -outcome.returncode in CRASHES:
        name = signal.Signals(-outcome.returncode).name
        return fault(
            PicklePythonError, f"Python {python} ended by {name} while {step}, as it does on a pickle of another Python"
        )
    if outcome.report["step"] in BEFORE_THE_MODEL or outcome.returncode != 0:
        error = outcome.report["error"] or {"type": "exit", "text": str(outcome.returncode)}
        raise RehearsalNotPossibleError(
            f"the process of the rehearsal failed while {step}: {error['type']} {error['text']} {outcome.said[-300:]}",
            "remove its folder under cache/rehearsal, so that it is built anew, and run again",
        )
    return None


def _raised(error: dict[str, Any], step: str, python: str) -> RehearsalFault:
    said = f"{error['type']}: {error['text']}"
    if error["module"] is not None:
        return _import(str(error["module"]).partition(".")[0], step)
    if "MemoryError" in error["type"] or any(text in error["text"].lower() for text in ALLOCATION_TEXTS):
        return fault(PickleMemoryError, f"memory ran out while {step}: {said}")
    if "Permission denied" in error["text"] and "socket" in error["trace"]:
        return fault(PickleNetworkError, f"the network was asked for while {step}: {said}")
    if step == "loading" and error["type"] in OF_BYTE_CODE:
        return fault(PicklePythonError, f"Python {python} cannot load it ({said}): it was pickled by another Python")
    if step == "loading" and error["type"] == "AttributeError":
        return fault(PickleProjectError, f"the pickle refers to something by name that is not there: {said}")
    if step == "loading":
        return fault(PickleUnreadableError, f"it cannot be loaded: {said}")
    if error["type"] == "SystemError" or "opcode" in error["text"]:
        return fault(PicklePythonError, f"Python {python} cannot run its byte code: {said}")
    return fault(PickleFailedError, f"while {step}: {said}")


def _import(module: str, step: str) -> RehearsalFault:
    if module in OURS:
        return fault(PickleProjectError, f"module {module} is asked for while {step}")
    if module in PRESENT:
        return fault(
            PickleModuleError,
            f"module {module} is asked for while {step}; the image has it, this rehearsal has not",
            "leave it out: numpy is fast enough for every network; or rehearse where Docker has the image",
        )
    return fault(PickleModuleError, f"module {module} is asked for while {step}, and the image lacks it")


def _differs(part: dict[str, Any]) -> RehearsalFault:
    return fault(
        PicklePartError,
        f"{part['name']} differs from its reference by {part['difference']:.3g} of its standard deviation (by "
        f"{part['shift']:+.3g} on average), {part['tolerance']:g} is allowed",
    )
