"""What can be written down and read back as the same: the rule for the value of every setting, wherever it is given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

DEEPEST = 32
LONGEST_SHOWN = 80


class NotWritableError(ValueError):
    """A value that JSON cannot hold, or does not give back as it was; its words say why."""


def shown(text: str) -> str:
    """A text of the user's for a message: on one line, printable, and not longer than it has to be."""
    printable = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return printable if len(printable) <= LONGEST_SHOWN else printable[: LONGEST_SHOWN - 3] + "..."


def check_writable(value: Any, name: str) -> None:
    """That a value can be stored as JSON and read back as the same.

    Raises:
        ValueError: it holds a number that is not finite or a whole number beyond 64 bits, text that is no Unicode, or
            is nested too deep.
    """
    for where, depth, one in _leaves(value, name):
        if depth > DEEPEST:
            raise NotWritableError(f"{name} is nested deeper than {DEEPEST} levels")
        if isinstance(one, float) and not math.isfinite(one):
            raise NotWritableError(f"{shown(where)} is {one}, and no setting takes a number that is not finite")
        if isinstance(one, int) and not -(2**63) <= one < 2**63:
            raise NotWritableError(f"{shown(where)} is a whole number beyond 64 bits")
    check_text(value, name)


def check_text(value: Any, name: str) -> None:
    """That every text within a value is Unicode, before anything is said about it: a message could not be shown.

    Raises:
        ValueError: it holds text that is none.
    """
    for where, _, one in _leaves(value, name):
        if isinstance(one, str) and not _is_text(one):
            raise NotWritableError(f"{shown(where)} holds {shown(one)}, which is no Unicode text")


def _leaves(value: Any, name: str) -> Iterator[tuple[str, int, Any]]:
    """Every value in a nested one with its place and depth, keys included; without recursion."""
    stack = [(name, 0, value)]
    while stack:
        where, depth, one = stack.pop()
        yield where, depth, one
        if depth > DEEPEST:
            continue
        if isinstance(one, dict):
            for key, below in one.items():
                yield where, depth, key
                stack.append((f"{where}.{key}", depth + 1, below))
        elif isinstance(one, list | tuple):
            stack += [(f"{where}.{index}", depth + 1, below) for index, below in enumerate(one)]


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
