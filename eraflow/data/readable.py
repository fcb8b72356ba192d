"""Why a file cannot be read: what the system or a library tells of it, before anything is said about its bytes.

Libraries raise one class of exception for damaged bytes, for a refusal of the system and for a lack of memory alike.
Whoever turns such an exception into "damaged, download it again" asks here first.
"""

from __future__ import annotations

import errno
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa

from eraflow.errors import EraflowError
from eraflow.foreigntext import cut
from eraflow.machine.failures import StageOutOfMemory, classify
from eraflow.machine.threads import ThreadSettingError

_SYSTEM_NUMBER = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")
_THREADS_REFUSED = re.compile(r"worker threads cannot be set|number of threads (?:must|cannot)", re.IGNORECASE)
_PROBLEMS = {
    errno.ENOENT: ("it is not there", "name a file that exists, or download the data again"),
    errno.EACCES: ("permission denied", "make the file, and the folders above it, readable for this user"),
    errno.EPERM: ("permission denied", "make the file, and the folders above it, readable for this user"),
    errno.EISDIR: ("it is a folder, not a file", "name the file, or move the folder away"),
    errno.ENOTDIR: ("part of the path is a file, not a folder", "correct the path"),
    errno.ELOOP: ("its symbolic links go round in a circle", "correct the link"),
    errno.ENAMETOOLONG: ("the name is too long", "give it a shorter name"),
    errno.EIO: ("the disk does not work (input/output error)", "look at the kernel log; copy the file to another disk"),
    errno.EMFILE: ("too many files are open", "raise the limit of open files (ulimit -n), then run again"),
    errno.ENFILE: ("too many files are open", "close other programs, then run again"),
    errno.ESTALE: ("the network file system has lost it", "mount it again, then run again"),
}


class MissingFileError(EraflowError):
    """A file that the work needs is not there."""

    code = "missing_file"


class UnreadableFileError(EraflowError):
    """The system does not let us read a file; its bytes may well be whole."""

    code = "unreadable_file"


@contextmanager
def reading(path: Path | str, damaged: Callable[[str], EraflowError]) -> Iterator[None]:
    """Name whatever goes wrong while `path` is read and decoded.

    Args:
        path: for the message.
        damaged: makes the error for bytes that are not what they should be, from one line of foreign text.

    Raises:
        StageOutOfMemory: memory or threads ran out; the ladder of a stage answers it.
        UnreadableFileError, MissingFileError: the system refuses.
        ThreadSettingError: a library was told to work with no thread.
        EraflowError: what `damaged` makes.
    """
    try:
        yield
    except EraflowError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        named = cause_of(path, error)
        if named is None and not isinstance(error, _OF_BYTES):
            raise  # a mistake of ours
        raise (named or damaged(told(error))) from error


# RecursionError: endless nesting in JSON. EOFError: gzip that ends too early.
_OF_BYTES = (
    pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, OSError, ValueError, EOFError,
    RecursionError, zlib.error, lzma.LZMAError,
)  # fmt: skip


def cause_of(path: Path | str, error: BaseException) -> EraflowError | None:
    """The error that says why `path` cannot be read; None where only its bytes can be to blame."""
    if classify(error) == "oom":
        return StageOutOfMemory(
            f"memory or threads ran out while {path} was read: {told(error)}",
            "close other programs, or raise the limits of memory and processes (ulimit, container), then run again; "
            "the file itself may be whole",
        )
    if _THREADS_REFUSED.search(str(error)):
        return ThreadSettingError(
            f"{path} cannot be read, because a library was given no thread: {told(error)}",
            "unset POLARS_MAX_THREADS, or set it to a whole number from 1",
        )
    number = _system_number(error)
    if number is None or number == errno.EINVAL:
        return None
    problem, remedy = _PROBLEMS.get(number, (os.strerror(number), "see to it, then run again"))
    kind = MissingFileError if number == errno.ENOENT else UnreadableFileError
    return kind(f"{path} cannot be read: {problem}", remedy)


def _system_number(error: BaseException) -> int | None:
    """The errno of an exception; libraries that lose it keep it in their text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _SYSTEM_NUMBER.search(str(error)) if isinstance(error, _OF_BYTES) else None
    return int(found[1] or found[2]) if found else None


def require_file(path: Path | str, remedy: str = "download the data again, or name another folder") -> os.stat_result:
    """What the system says about the file `path`.

    Raises:
        MissingFileError: it is not there.
        UnreadableFileError: it is a folder, or the system does not let us look.
    """
    path = Path(path)
    try:
        about = path.stat()
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there", remedy) from None
    except OSError as error:
        raise cause_of(path, error) or error from error
    if stat.S_ISDIR(about.st_mode):
        raise UnreadableFileError(f"{path} is a folder, not a file", "name a file, or move the folder away")
    if not stat.S_ISREG(about.st_mode):
        raise UnreadableFileError(f"{path} is no regular file", "name a file, not a device, a pipe or a socket")
    if not os.access(path, os.R_OK):
        problem, what = _PROBLEMS[errno.EACCES]
        raise UnreadableFileError(f"{path} cannot be read: {problem}", what)
    return about


def is_there(path: Path | str) -> bool:
    """Whether there is a file `path`.

    Raises:
        UnreadableFileError: something else is there, or the system does not let us look.
    """
    try:
        require_file(path)
    except MissingFileError:
        return False
    return True


def told(error: BaseException) -> str:
    """The first line of what an exception says, or its class where it says nothing; cut."""
    return cut((str(error).strip().splitlines() or [type(error).__name__])[0])
