"""How alike the predictions of several ensembles are: two slots that say the same earn and lose together.

The measure is the Pearson correlation of tie-kept ranks within an era, `numerai_tools.scoring.spearman_correlation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from eraflow.disk.plainpaths import read_parquet
from eraflow.scoring.metrics import era_correlation_with
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.statistics import ewc_interval, min_eras, without_infinities


def pair_correlations(
    out_of_fold: Mapping[str, Path], live: Mapping[str, Path], overlap: int, confidence: float
) -> list[dict[str, Any]]:
    """Each pair of ensembles, in the order in which they are named.

    Args:
        out_of_fold: name -> parquet file with `id`, `era` and `prediction`, the rows of an era together.
        live: the same of the round's live era; an ensemble may be missing there.
        overlap: weeks over which labels overlap, and with them what is learnt.
        confidence: one-sided, of each bound.

    Returns:
        For each pair `a`, `b`, `mean` over the common eras, its bounds `low` and `high` (None where the eras are too
        few), `eras`, and `live`, the correlation in the live era (None where one of them has none).
    """
    found = []
    for a, b in combinations(out_of_fold, 2):
        values = era_correlations(out_of_fold[a], out_of_fold[b])
        bounds = ewc_interval(values, overlap, confidence) if len(values) >= min_eras(overlap) else None
        told = {
            "mean": sum(values) / len(values) if values else None,
            "low": None if bounds is None else bounds.low,
            "high": None if bounds is None else bounds.high,
            "live": era_correlations(live[a], live[b])[0] if a in live and b in live else None,
        }
        found.append({"a": a, "b": b, "eras": len(values), **without_infinities(told)})
    return found


def era_correlations(one: Path, other: Path) -> list[float]:
    """The correlation of two files of predictions in each era that both have, of the rows that both have."""
    frames = [
        read_parquet(path, columns=["id", "era", "prediction"]).filter(pl.col("prediction").is_finite())
        for path in (one, other)
    ]
    both = frames[0].join(frames[1], on=["id", "era"], suffix="_other", maintain_order="left")
    groups = EraGroups.from_labels(both["era"].to_numpy())
    values = era_correlation_with(both["prediction"].to_numpy(), both["prediction_other"].to_numpy(), groups)
    return [float(value) for value in values if math.isfinite(value)]
