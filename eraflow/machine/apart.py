"""Errors of a child process in which a verb of the command reads foreign files: they speak of those files.

A verb has no ladder of plans, and none of the settings that the errors of a stage advise to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eraflow.errors import EraflowError
from eraflow.machine.failures import StageCrashed, StageError, StageOutOfMemory


class DeadlyFileError(EraflowError):
    """A program that reads files died in native code: one of them is damaged in a way that no library bears."""

    code = "deadly_file"


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
