"""What became of the rows of a live era, kept where no client can fetch it until the era is resolved.

    FOLDER/.outcomes/NUMBER.parquet   the rows of round NUMBER
    FOLDER/.outcomes/live.parquet     those of live.parquet, where no round has a file of its own

Columns: id, every target, the benchmark's predictions, the meta model's. A folder without them grows no scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from eraflow.disk.atomic import atomic_path
from eraflow.disk.plainpaths import read_parquet

FOLDER = ".outcomes"
META_MODEL = "numerai_meta_model"


def write_outcome(folder: Path, name: str, columns: Mapping[str, Any]) -> Path:
    """Keep what became of the rows of an era, under a round's number or `live`.

    Args:
        folder: in tournament layout.
        name: of the file, without its ending.
        columns: `id`, the targets, the benchmark's columns and `META_MODEL`, of equal length.
    """
    path = folder / FOLDER / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        pl.DataFrame(columns).write_parquet(temporary)
    return path


def read_outcome(folder: Path, number: int) -> pl.DataFrame | None:
    """What became of the rows of a round; None where nobody knows."""
    for name in (str(number), "live"):
        if (path := folder / FOLDER / f"{name}.parquet").is_file():
            return read_parquet(path)
    return None
