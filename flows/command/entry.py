"""The console command. What Ctrl-C means is settled here, before anything large is imported."""

from __future__ import annotations

import os
import signal
import sys

from flows.command.terminal.interrupts import EXIT_INTERRUPTED


def main() -> int:
    """Run the command; returns its exit code. From then on Ctrl-C only shortens the end, and changes no exit code."""
    try:
        from flows.command.cli import main as command

        code = command()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
        os.write(2, b"eraflow: interrupted\n")
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    return code


if __name__ == "__main__":
    sys.exit(main())
