"""Work in a child process that is no stage: a check before the week, or a verb that reads foreign files.

It has no ladder of plans, and none of the settings that the errors of a stage advise to change: its errors speak of
those files. But it, too, may be killed by somebody, and that is no reason for a week to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from eraflow.errors import EraflowError
from eraflow.machine.failures import StageCrashed, StageError, StageKilled, StageOutOfMemory
from eraflow.machine.isolate import IsolatedResult

KILLED_TRIES = 3
"""Of work that somebody kills: one who does it three times means it."""


class DeadlyFileError(EraflowError):
    """A program that reads files died in native code: one of them is damaged in a way that no library bears."""

    code = "deadly_file"


def again_if_killed(
    work: Callable[[], IsolatedResult], log: Callable[[str], None], tries: int = KILLED_TRIES
) -> IsolatedResult:
    """Do work in a child, and do it again where SIGKILL ended it without a sign that memory was short.

    Args:
        work: calls `run_isolated`; it may be called again.
        log: takes a line for each time.
        tries: how often it is begun at the most.

    Raises:
        StageKilled: it was killed each time, or was asked to end (SIGTERM, Ctrl-C), which is not gone against.
        EraflowError: whatever else `work` raises.
    """
    try:
        return work()
    except StageKilled as error:
        if error.kind != "killed" or tries <= 1:
            raise
        log(f"{error.problem}; it is done again")
    return again_if_killed(work, log, tries - 1)


@contextmanager
def failures_while(what: str) -> Iterator[None]:
    """Say what a child died of.

    Args:
        what: what it was doing, for "while {what}".

    Raises:
        DeadlyFileError: native code aborted or crashed.
        StageOutOfMemory: memory or threads ran out.
        StageError: anything else that ended it.
    """
    try:
        yield
    except StageOutOfMemory as error:
        raise StageOutOfMemory(
            f"memory or threads ran out while {what} ({error.problem})", "close other programs, then run again"
        ) from error
    except StageCrashed as error:
        raise DeadlyFileError(
            f"the program that reads them {error.problem.partition(' ')[2]}, while {what}",
            "one of the files is damaged: write or download it again",
        ) from error
    except StageError as error:
        _, named, log = error.remedy.rpartition("(output in ")
        more = f"; what it said last is in {log.rstrip(')')}" if named else ""
        raise type(error)(f"while {what}: {error.problem}", f"run again{more}", kind=error.kind) from error
