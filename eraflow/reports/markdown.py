"""Markdown for the Prefect UI: tables, and pictures carried inside the text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any


def markdown_table(headers: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A table; columns that hold only numbers are aligned to the right.

    Args:
        headers: one for each column.
        rows: cells; None is empty, floats get four significant digits, anything else is its text. Pipes and line ends
            cannot break the table.

    Raises:
        ValueError: a row has more or fewer cells than there are headers.
    """
    for row in rows:
        if len(row) != len(headers):
            raise ValueError(f"a row of {len(row)} cells under {len(headers)} headers: {list(row)}")
    rules = ["---:" if _numeric([row[place] for row in rows]) else "---" for place in range(len(headers))]
    lines = [headers, rules, *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def png_markdown(png: bytes, alt: str) -> str:
    """A picture as markdown with the bytes inside, so that it needs no file and no server.

    Args:
        png: content of a PNG file.
        alt: what readers get who do not see the picture.
    """
    text = " ".join(alt.split()).replace("[", "(").replace("]", ")")
    return f"![{text}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"


def _numeric(cells: Sequence[Any]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in known)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\r\n", "\n").replace("\n", "<br>")
