"""Small tournament-like data whose truth is known: codes, a target that depends on four of the features, eras, ids.

planted = plant(eras=60, rows=100)
store = planted.store(tmp_path / "store")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from eraflow.data.eras import Window
from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from eraflow.kinds import KINDS
from eraflow.machine.plan import Plan

TARGET = "target_ender_20"
PLAN = Plan(threads=1)
FAST = {"n_estimators": 30, "learning_rate": 0.1, "colsample": 0.5}
FAST_TRAINING = {
    "dropout": 0.1,
    "updates": 96,
    "batch_size": 256,
    "learning_rate": 0.01,
    "check_every": 8,
    "validation_share": 0.15,
}
FAST_MLP = {"hidden": [32, 16], **FAST_TRAINING}
FAST_NETWORKS = {
    "mlp": FAST_MLP,
    "autoencoder": {**FAST_MLP, "code": 6},
    "tabm": {"k": 3, "width": 16, **FAST_TRAINING},
    "transformer": {"tokens": 4, "width": 16, "feedforward": 32, "heads": 2, **FAST_TRAINING},
    "gatv2": {"width": 4, **FAST_TRAINING},
    "gin": {"width": 8, **FAST_TRAINING},
}  # fmt: skip


def fast(kind: str) -> dict:
    """Parameters of a small model of this kind."""
    if kind not in KINDS:
        return {}
    return FAST_NETWORKS[kind] if KINDS[kind].neural else FAST


@dataclass(frozen=True)
class Planted:
    x: np.ndarray  # int8[n, f]
    y: np.ndarray  # float64[n], five values
    era: np.ndarray  # int[n], 1 to n_eras

    @property
    def features(self) -> list[str]:
        return [f"feature_{i:02d}" for i in range(self.x.shape[1])]

    @property
    def eras(self) -> list[str]:
        return [f"{era:04d}" for era in np.unique(self.era)]

    def frame(self) -> pl.DataFrame:
        numbers = np.arange(len(self.y))
        return pl.DataFrame(
            {
                "id": [f"n{number:015x}" for number in numbers * 7919 + 1],
                "era": [f"{era:04d}" for era in self.era],
                "data_type": ["train"] * len(self.y),
                **{name: self.x[:, i] for i, name in enumerate(self.features)},
                TARGET: self.y.astype(np.float32),
            }
        )

    def store(self, path: Path) -> EraStore:
        file = path.with_suffix(".parquet")
        self.frame().with_columns(pl.col(TARGET).fill_nan(None)).write_parquet(file)
        return write_era_store([file], self.features, [TARGET], path)

    def shuffled_within_eras(self, seed: int) -> Planted:
        rng = np.random.default_rng(seed)
        y = self.y.copy()
        for era in np.unique(self.era):
            rows = np.flatnonzero(self.era == era)
            y[rows] = y[rng.permutation(rows)]
        return replace(self, y=y)


def plant(*, eras: int = 60, rows: int = 100, features: int = 12, noise: float = 3.0, seed: int = 0) -> Planted:
    rng = np.random.default_rng(seed)
    n = eras * rows
    x = rng.integers(0, 5, (n, features), dtype=np.int8)
    wide = x.astype(float) - 2
    truth = wide[:, 0] - wide[:, 1] + 0.5 * wide[:, 2] * wide[:, 3] + noise * rng.normal(size=n)
    y = np.empty(n)
    for start in range(0, n, rows):
        rank = truth[start : start + rows].argsort().argsort() / rows
        y[start : start + rows] = np.digitize(rank, [0.05, 0.25, 0.75, 0.95]) / 4
    return Planted(x, y, np.repeat(np.arange(1, eras + 1), rows))


def windows_of(eras: Sequence[str], first: int, folds: int, purge: int = 8) -> tuple[Window, ...]:
    """Expanding windows, written down by hand so that these tests do not depend on the code that cuts them."""
    blocks = np.array_split(np.array(eras[first:]), folds)
    return tuple(
        Window(index, tuple(era for era in eras if int(era) < int(block[0]) - purge), tuple(block.tolist()), purge)
        for index, block in enumerate(blocks)
    )
