"""Where a command writes: an output whose reader is gone takes nothing more, and the command goes on.

`eraflow settings | head -1` has done its work when `head` has its line, and a run whose terminal was closed may still
submit: what a command did decides its exit code, not who read it to the end.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sys
import textwrap
from typing import Any, TextIO

from eraflow.errors import EraflowError

GONE = (errno.EPIPE, errno.EIO)
"""The reader of a pipe ended, the terminal was closed."""


class OutputError(EraflowError):
    """What was to be printed cannot be written: the disk that the output was sent to is full, for example."""

    code = "output"


class LenientOutput(io.FileIO):
    """The bottom of an output: once nobody reads it any more, what is written goes nowhere.

    The file descriptor itself is turned to the null device, so that child processes and loggers are spared too.
    """

    def write(self, content: Any, /) -> int:
        """Write, or pretend to."""
        try:
            return super().write(content)
        except OSError as error:
            _to_nowhere(self.fileno())
            if error.errno not in GONE:
                raise OutputError(
                    f"the output cannot be written: {error.strerror}", "look at the file or device it was sent to"
                ) from error
            return len(memoryview(content).cast("B"))


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def open_outputs() -> None:
    """Make the process's own standard streams lenient; streams that somebody has replaced are left alone."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # started with it closed (`>&-`): the next file that is opened would take its number
            _to_nowhere(descriptor)
    sys.stdout = _lenient(sys.stdout, 1)
    sys.stderr = _lenient(sys.stderr, 2)


def _lenient(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(LenientOutput(descriptor, "w", closefd=False)), "utf-8", "replace")
    if type(stream) is not io.TextIOWrapper or stream.fileno() != descriptor:
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(LenientOutput(descriptor, "w", closefd=False)),
        stream.encoding,
        stream.errors if stream.errors != "strict" else "backslashreplace",  # an ASCII terminal must not end a run
        line_buffering=stream.line_buffering or descriptor == 2,
    )


def finish_outputs() -> None:
    """Write what still waits.

    Raises:
        OutputError: it cannot be written.
    """
    sys.stdout.flush()
    sys.stderr.flush()


def complain(text: str) -> None:
    """A line on stderr, with the name of the command before it."""
    print(_broken(f"eraflow: {text}", sys.stderr), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """A line on stderr, out of the way of what is printed as the result."""
    print(_broken(text, sys.stderr), file=sys.stderr, flush=True)


def announce_start(*, as_json: bool) -> None:
    """Tell a person who waits that the command works: what it imports next takes seconds."""
    if sys.stderr.isatty() and not as_json:
        print("Eraflow is starting", file=sys.stderr, flush=True)


def say(text: str, indent: int = 2) -> None:
    """A line on stdout.

    Args:
        text: what is said.
        indent: of what is left of a line that is too long for the terminal.
    """
    print(_broken(text, sys.stdout, indent), flush=True)


def _broken(text: str, stream: TextIO, indent: int = 2) -> str:
    """On a terminal, broken between words alone, so that paths can be copied; elsewhere a line stays a line."""
    if not stream.isatty():
        return text
    width = max(shutil.get_terminal_size().columns, 2 * indent)
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


def print_record(record: dict[str, Any]) -> None:
    """The record as the last line on stdout."""
    print(json.dumps(record, sort_keys=True), flush=True)
