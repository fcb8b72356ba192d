"""Rounds that champion and challenger were predicted in side by side, scored once their era is resolved.

    FOLDER/round-NUMBER.parquet   id, champion, challenger: raw predictions of the live rows

A round's rows are found again by their ids in later data. Another pair of recipes has another folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.disk.atomic import atomic_path, storage_errors
from eraflow.disk.plainpaths import read_parquet
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.ranking import EraGroups

MOST_WEEKS = 120
"""Older eras are not looked through: what was predicted before is no contest of today."""
NUMBER = re.compile(r"round-(\d+)\.parquet")


class ResolvedEras(Protocol):
    """What is asked of an era store."""

    def ids(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.str_]:
        """Ids of the rows of some eras."""

    def column(self, name: str, eras: Sequence[str] | None = None) -> npt.NDArray[np.float64]:
        """A target of the rows of some eras."""


def keep_round(folder: Path, number: int, champion: Path, challenger: Path) -> Path:
    """Keep both predictions of a round; the same round again replaces them.

    Args:
        folder: of this pair of recipes.
        number: of the round.
        champion, challenger: parquet files with `id` and `prediction`.

    Raises:
        StorageError: it cannot be written.
    """
    one, other = (read_parquet(path, columns=["id", "prediction"]) for path in (champion, challenger))
    both = one.rename({"prediction": "champion"}).join(other.rename({"prediction": "challenger"}), on="id")
    place = folder / f"round-{number}.parquet"
    with storage_errors(place):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(place) as temporary:
            both.sort("id").write_parquet(temporary)
    return place


def resolved_differences(
    folder: Path, before: int, store: ResolvedEras, eras: Sequence[str], target: str
) -> list[float]:
    """CORR of the challenger less that of the champion in each kept round that is resolved by now, oldest first.

    Args:
        folder: of this pair of recipes.
        before: only rounds below this number.
        store: the era store.
        eras: its resolved eras, oldest first.
        target: what is predicted.
    """
    rounds = sorted((int(name[1]), path) for path in folder.glob("*") if (name := NUMBER.fullmatch(path.name)))
    kept = [frame for number, path in rounds if number < before and (frame := read_parquet(path)).height]
    found: dict[int, float] = {}
    for era in eras[-MOST_WEEKS:] if kept else ():
        ids = store.ids([era])
        for place in np.flatnonzero(np.isin([str(frame["id"][0]) for frame in kept], ids)):
            truth = pl.DataFrame({"id": ids, "target": store.column(target, [era])})
            rows = kept[place].join(truth, on="id").filter(pl.col("target").is_finite())
            if rows.height > 1:
                found[int(place)] = _difference(rows)
    return [found[place] for place in sorted(found)]


def _difference(rows: pl.DataFrame) -> float:
    groups = EraGroups.from_sizes([rows.height])
    champion, challenger = (
        float(era_corr(rows[name].to_numpy(), rows["target"].to_numpy(), groups)[0])
        for name in ("champion", "challenger")
    )
    return challenger - champion
