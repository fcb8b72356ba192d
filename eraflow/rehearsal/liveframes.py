"""Files such as Numerai hands to an uploaded model: every feature of the version, one live era or many."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from eraflow.disk.atomic import atomic_path

FULL_WIDTH = 3_555
LIVE_ROWS = 7_000
LIVE_ERA = "X"
BENCHMARKS = ("v53_lgbm_ender20", "v53_lgbm_ender60")
LEVELS = 5


def write_frames(
    folder: Path, features: Sequence[str], *, rows: int = LIVE_ROWS, eras: int = 1, width: int = FULL_WIDTH
) -> dict[str, str]:
    """Write a live file and its benchmark models, of made-up ids and codes that are drawn by chance.

    Args:
        folder: where they are written.
        features: of the model; others are added until there are `width`.
        rows: of an era.
        eras: one: it is called X, as live; more: 0001 and so on.
        width: features in the file, at least those of the model.

    Returns:
        `live` and `benchmarks`: the paths.
    """
    seed = int.from_bytes(hashlib.sha256(f"{list(features)} {eras}".encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    names = [*features, *(f"feature_of_no_model_{at:04d}" for at in range(max(0, width - len(features))))]
    codes = rng.integers(0, LEVELS, (rows * eras, len(names)), dtype=np.int8)
    ids = pd.Index([f"n{number:015x}" for number in rng.choice(1 << 60, rows * eras, replace=False)], name="id")
    labels = [LIVE_ERA] if eras == 1 else [f"{era:04d}" for era in range(1, eras + 1)]
    head = pd.DataFrame({"era": np.repeat(labels, rows), "data_type": "live" if eras == 1 else "validation"}, index=ids)
    live = pd.concat([head, pd.DataFrame(codes, columns=names, index=ids, copy=False)], axis=1, copy=False)
    others = pd.DataFrame(rng.random((len(ids), len(BENCHMARKS))), columns=list(BENCHMARKS), index=ids)
    others.insert(0, "era", head["era"])
    return {
        "live": str(_written(folder / f"live-{eras}.parquet", live)),
        "benchmarks": str(_written(folder / f"benchmarks-{eras}.parquet", others)),
    }


def _written(path: Path, frame: pd.DataFrame) -> Path:
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, compression="zstd")
    return path
