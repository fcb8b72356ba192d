"""Options that several verbs share, and the text below the help of those that end with an outcome."""

from __future__ import annotations

import argparse

from eraflow.errors import SettingsError

EPILOG = (
    "exit codes: 0 done; 1 failed, with a named error; 2 wrong usage or settings; 3 the gate blocked, nothing was "
    "sent; 130 interrupted by Ctrl-C, 143 by SIGTERM: the same command with --resume goes on"
)


def add_json(verb: argparse.ArgumentParser) -> None:
    """Give a verb the option --json."""
    verb.add_argument("--json", action="store_true", help="print one JSON record as the last line on stdout")


def add_confidence(verb: argparse.ArgumentParser) -> None:
    """Give a verb the option --confidence of its calibrated bounds."""
    verb.add_argument(
        "--confidence", type=float, default=0.95, help="one-sided confidence of the bounds (default 0.95)"
    )


def confidence_of(arguments: argparse.Namespace) -> float:
    """The confidence that was asked for.

    Raises:
        SettingsError: not above 0.5 and below 1.
    """
    confidence = float(arguments.confidence)
    if not 0.5 < confidence < 1:
        raise SettingsError(f"--confidence is {confidence}", "use a value above 0.5 and below 1, such as 0.95")
    return confidence
