"""Parquet and CSV files of exactly the name that is given.

Polars takes `*`, `?` and `[` of a path for a pattern, and `~` for somebody's home.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import polars as pl


def read_parquet(path: Path | str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The parquet file of exactly this name."""
    return pl.read_parquet(
        _literal(path), columns=None if columns is None else list(columns), glob=False, hive_partitioning=False
    )


def scan_parquet(source: Path | str | BinaryIO) -> pl.LazyFrame:
    """The parquet file of exactly this name, or one that is open, to be read lazily."""
    return pl.scan_parquet(
        _literal(source) if isinstance(source, Path | str) else source, glob=False, hive_partitioning=False
    )


def read_csv(path: Path | str, text: Sequence[str] = ()) -> pl.DataFrame:
    """The CSV file of exactly this name; the columns `text` stay text, whatever they look like."""
    return pl.read_csv(_literal(path), glob=False, schema_overrides=dict.fromkeys(text, pl.String))


def _literal(path: Path | str) -> Path:
    return Path(path).absolute()  # a path that begins at the root begins with no `~`
