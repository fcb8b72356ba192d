"""The option --confidence of the verbs that print calibrated bounds."""

from __future__ import annotations

import argparse

from eraflow.errors import SettingsError


def add_confidence(verb: argparse.ArgumentParser) -> None:
    """Give a verb the option."""
    verb.add_argument(
        "--confidence", type=float, default=0.95, help="one-sided confidence of the bounds (default 0.95)"
    )


def confidence_of(arguments: argparse.Namespace) -> float:
    """What was asked for.

    Raises:
        SettingsError: not above 0.5 and below 1.
    """
    confidence = float(arguments.confidence)
    if not 0.5 < confidence < 1:
        raise SettingsError(f"--confidence is {confidence}", "use a value above 0.5 and below 1, such as 0.95")
    return confidence
