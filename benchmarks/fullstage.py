"""What the child of `benchmarks.full` runs before the training; it imports no more than the real stage does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eraflow.erastore.erawriter import write_era_store
from eraflow.machine.plan import Plan

FULL_TARGET = "target_ender_20"


def feature_names(count: int) -> list[str]:
    """Of the synthetic file."""
    return [f"feature_{number:04d}" for number in range(count)]


def make_store(
    *, out: str, parquet: str, features: int, eras: Sequence[str], plan: Mapping[str, Any]
) -> dict[str, Any]:
    """The stage `features` on the first eras of the file."""
    store = write_era_store(
        [parquet],
        feature_names(features),
        [FULL_TARGET],
        Path(out) / "store",
        eras=eras,
        rows_in_memory=Plan(**plan).rows_in_memory,
    )
    return {"rows": store.n_rows}
