"""The same small rows in every form that can be predicted, and a predictor that needs no library."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from eraflow.machine.plan import Plan
from eraflow.scoring.insample import UNKNOWN, Origin

FEATURES = tuple(f"feature_{number}" for number in range(7))
FORMS = ("parquet", "one.parquet", "tiny.parquet", "csv", "csv.gz", "csv.xz")


def rows(eras: int = 6, an_era: int = 40, seed: int = 0) -> pl.DataFrame:
    """Features among other columns, in an order of their own; eras of unequal size."""
    rng = np.random.default_rng(seed)
    sizes = [an_era + number for number in range(eras)]
    n = sum(sizes)
    columns = {
        "target": rng.random(n).round(2),
        **{name: rng.integers(0, 5, n, dtype=np.int8) for name in reversed(FEATURES)},
        "era": np.repeat([f"{number + 1:04d}" for number in range(eras)], sizes),
        "feature_other": rng.integers(0, 5, n, dtype=np.int8),
        "id": [f"n{number:015x}" for number in rng.permutation(n)],
    }
    return pl.DataFrame(columns)


def write(frame: pl.DataFrame, folder: Path, form: str) -> Path:
    """The rows as a file of one of `FORMS`."""
    path = folder / f"data.{form}"
    if form.endswith("parquet"):
        size = {"parquet": 40, "one.parquet": 10**6, "tiny.parquet": 3}[form]
        frame.write_parquet(path, row_group_size=size)
        return path
    text = frame.write_csv().encode()
    packed: dict[str, Callable[[bytes], bytes]] = {"csv.gz": gzip.compress, "csv.xz": lzma.compress}
    path.write_bytes(packed.get(form, bytes)(text))
    return path


@dataclass
class Sums:
    """Two members, each a weighted sum of the features; counts the eras it is asked for."""

    features: tuple[str, ...] = FEATURES
    signature: str = "sums"
    names: tuple[str, ...] = ("rising", "falling")
    keeps_codes: bool = False
    needs_whole_eras: bool = False
    origin: Origin = UNKNOWN
    finished: list[int] = field(default_factory=list)
    before_era: Callable[[int], None] = lambda era: None

    def check_features(self, columns) -> None:
        """Everything is there in these tests."""

    def predict_members(self, x, *, plan: Plan | None = None):
        """float64[n, 2]."""
        assert x.dtype == np.int8
        weights = np.arange(1, 1 + x.shape[1]) ** 0.5
        return np.stack([x @ weights, x @ weights[::-1]], axis=1)

    def finish(self, members, codes):
        """float64[n]: the sum of both; and of the codes where they are kept."""
        self.before_era(len(self.finished))
        self.finished.append(len(members))
        return members.sum(axis=1) + (codes().sum(axis=1) if self.keeps_codes else 0)
