"""One spelling of an era, whatever a file writes: 12, "12", "0012", b"0012" and 12.0 are all era 0012.

Every reader of eras goes through here, so that what one verb accepts, all do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from eraflow.data.eras import LIVE_ERA, BadEraError

WIDTH = 4
"""Digits of a label as Numerai writes them; from era 10000 on they are five."""
NUMBER = re.compile(r"0*(\d+)(?:[.,]0*)?", re.ASCII)
"""A whole number, perhaps with zeros before it, perhaps written as a float."""


def era_label(written: str | None) -> str | None:
    """The label of an era as it stands in a file; what is none is given back as it is, for `check_era_label`."""
    if written is None:
        return None
    text = written.strip()
    number = NUMBER.fullmatch(text)
    return number[1].zfill(WIDTH) if number else text


def check_era_label(label: str, where: str) -> str:
    """`label` itself.

    Args:
        label: from `era_label`.
        where: such as `row 3 of live.parquet`, for the error.

    Raises:
        BadEraError: it is neither a number nor the live era.
    """
    if label != LIVE_ERA and not (label.isascii() and label.isdigit()):
        raise BadEraError(f"{where} has era {label[:40]!r}", "eras are whole numbers such as 0042, or X in live data")
    return label


def era_runs(column: pl.Series) -> list[tuple[str | None, int]]:
    """Labels and lengths of the runs of rows of one era, from a column of text."""
    runs = column.rle().struct.unnest()
    return _merged((era_label(label), int(length)) for label, length in zip(runs["value"], runs["len"], strict=True))


def _merged(runs: Iterable[tuple[str | None, int]]) -> list[tuple[str | None, int]]:
    """Neighbouring runs of one label, which a file may spell in two ways, made one."""
    merged: list[tuple[str | None, int]] = []
    for label, length in runs:
        if merged and merged[-1][0] == label:
            length += merged.pop()[1]
        merged.append((label, length))
    return merged
