"""This week's live file, and what is uploaded, damaged on demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eraflow.disk.atomic import atomic_path

RENAMED = "feature_of_next_week"
NAN_EVERY = 7  # every so many rows of the first feature are NaN


def renamed(live: Path, folder: Path) -> Path:
    """A copy of `live` whose first feature is called `RENAMED`."""
    table = pq.read_table(live)
    first = _features(table)[0]
    names = [RENAMED if name == first else name for name in table.column_names]
    return _written(table.rename_columns(names), folder / "renamed" / live.name)


def with_nan(live: Path, folder: Path) -> Path:
    """A copy of `live` with float32 features: NaN in some rows of the first, and in every row of the second."""
    table = pq.read_table(live)
    for position, name in enumerate(_features(table)):
        values = table.column(name).to_numpy().astype(np.float32)
        if position == 0:
            values[::NAN_EVERY] = np.nan
        if position == 1:
            values[:] = np.nan
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.float32()))
    return _written(table, folder / "nan" / live.name)


def alter(submission: Path) -> None:
    """Change the first decimal of one prediction of a stored submission; it stays a valid one."""
    head, comma, rest = submission.read_bytes().partition(b",0.")
    digit = b"5" if rest[:1] != b"5" else b"6"
    with atomic_path(submission) as temporary:
        temporary.write_bytes(head + comma + digit + rest[1:])


def _features(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name.startswith("feature")]


def _written(table: pa.Table, path: Path) -> Path:
    if not path.is_file():
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary)
    return path
