"""What was aimed at and what was measured, gathered from several benchmarks into one table.

Each benchmark runs in a process of its own and notes its rows in the file that `FILE` in the environment names; run by
itself it notes nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

FILE = "ERAFLOW_BENCH_AIMS"


def note(work: str, aim: str, found: str, reached: bool) -> None:
    """Keep a row for the table.

    Args:
        work: what was done, with its size.
        aim: in words.
        found: the figures.
        reached: whether they are as good as the aim.
    """
    place = os.environ.get(FILE)
    if place:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(json.dumps([work, aim, found, "reached" if reached else "NOT REACHED"]) + "\n")


def table(place: Path) -> str:
    """The rows that were noted, as text; empty where there are none."""
    lines = place.read_text(encoding="utf-8").splitlines() if place.exists() else []
    if not lines:
        return ""
    rows = [["work", "aim", "measured", ""], *(json.loads(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
