"""Ctrl-C while a command only waits: for a server, for a person's answer."""

from __future__ import annotations

import contextlib
import signal

EXIT_INTERRUPTED = 130


def heed_ctrl_c() -> None:
    """Let Ctrl-C and SIGTERM end a system call that waits, whatever libraries have been loaded since.

    Importing polars replaces the handler of SIGINT by one that restarts such calls: Python then learns of Ctrl-C only
    when the call returns, that of a server that is waited for never. To be called just before waiting.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has none; only the main thread may
            signal.siginterrupt(number, True)
