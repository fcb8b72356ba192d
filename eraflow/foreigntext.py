"""Foreign text in our messages (names of files, answers of servers): cut, and without control characters."""

from __future__ import annotations

MOST_SHOWN = 200
"""Characters of foreign text in a message."""


def cut(text: object, most: int = MOST_SHOWN) -> str:
    """Foreign text for a message, on one line and not longer than `most` characters."""
    shown = str(text)[: most + 1]
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shown)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
