"""The stage that selects features: for each window from its own training eras, and for live from all resolved ones.

out/selection.json       {"method", "windows": [{"index", "features"}], "live"}: what training reads
out/window-<i>.parquet   every feature's figures in window i; window-live.parquet for live
out/associations.parquet mean association of every feature in blocks of eras, for the heat map
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl

from eraflow.data.eras import Window
from eraflow.discovery.association import Associations, measure
from eraflow.discovery.drift import BLOCK_ERAS, block_means
from eraflow.discovery.selection import choose_features
from eraflow.disk.atomic import atomic_path, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.disk.plainpaths import read_parquet
from eraflow.erastore.erareader import EraStore
from eraflow.machine.job import How, HowOf, stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.settings.selection import SelectionSettings

SELECTION = "selection.json"
ASSOCIATIONS = "associations.parquet"
LIVE = "live"
NOT_OF_THE_CHOICE = frozenset({"models", "importance_rows"})
"""Settings that say who uses a selection and how importance is measured."""


@dataclass(frozen=True, kw_only=True)
class SelectJob:
    """Eras to select features from.

    Attributes:
        windows: for each, features are selected from its training eras alone.
        final_eras: what the final fit learns from.
        target: explicit name of the target.
        overlap_weeks: weeks over which its labels overlap.
        selection: the settings; who uses the selection, and how importance is measured, changes nothing in it.
        store: folder of the era store.
    """

    windows: tuple[Window, ...]
    final_eras: tuple[str, ...]
    target: str
    overlap_weeks: int
    selection: Annotated[SelectionSettings, HowOf(NOT_OF_THE_CHOICE)]
    store: How[Path]


@dataclass(frozen=True)
class _Selecting:
    """What all windows share."""

    job: SelectJob
    out: Path
    store: EraStore
    threads: int
    associations: Associations

    def window(self, label: str, eras: Sequence[str]) -> tuple[list[str], dict[str, int]]:
        """The features of one window and how many had which outcome; kept from an earlier attempt where there is."""
        path = self.out / f"window-{label}.parquet"
        signature = self._signature(eras)
        kept = _kept(path, signature)
        if kept is None:
            found = choose_features(
                self.store,
                self.job.target,
                self.associations.of(eras),
                self.job.selection,
                overlap_weeks=self.job.overlap_weeks,
                threads=self.threads,
            )
            kept = found.table(self.store.features)
            write_frame(path, kept)
            write_json(path.with_suffix(".json"), {"signature": signature, "sha256": file_sha256(path)})
        counts = kept.group_by("outcome").len().sort("outcome")
        chosen = kept.filter(pl.col("chosen"))["feature"].to_list()
        return chosen, dict(zip(counts["outcome"].to_list(), counts["len"].to_list(), strict=True))

    def _signature(self, eras: Sequence[str]) -> str:
        settings = self.job.selection.model_dump(mode="json", exclude=set(NOT_OF_THE_CHOICE))
        return value_sha256({"settings": settings, "target": self.job.target, "eras": list(eras)})


@stage_function(SelectJob)
def select_features(job: SelectJob, out: Path, plan: Plan) -> dict[str, Any]:
    """Select features for every window from its training eras, and for live from the final ones; see `SelectJob`.

    Of the plan only the threads matter.

    Returns:
        Figures for tables: features of the store, chosen and the outcomes for each window and live, and how many
        features all windows share.

    Raises:
        DiscoveryDataError: too few eras, or the target is not known in them.
    """
    store, steps = EraStore.open(job.store), 100 / (len(job.windows) + 2)
    selecting = _Selecting(job, out, store, plan.threads, _associations(job, store, plan.threads, steps))
    chosen: dict[str, list[str]] = {}
    counts: dict[str, dict[str, int]] = {}
    learnt = {str(window.index): window.train for window in job.windows} | {LIVE: job.final_eras}
    for done, (label, train) in enumerate(learnt.items(), 1):
        chosen[label], counts[label] = selecting.window(label, train)
        report(steps * (1 + done), 100, f"window {label}: {len(chosen[label])} features")
    _write_blocks(out, selecting.associations.of(job.final_eras))
    listed = [{"index": window.index, "features": chosen[str(window.index)]} for window in job.windows]
    write_json(out / SELECTION, {"method": job.selection.method, "windows": listed, "live": chosen[LIVE]})
    return {
        "features": len(store.features),
        "chosen": {label: len(names) for label, names in chosen.items()},
        "in_all": len(set.intersection(*(set(names) for names in chosen.values()))),
        "outcomes": counts,
    }


def _associations(job: SelectJob, store: EraStore, threads: int, share: float) -> Associations:
    """Of every era that some window or the fit for live learns from; `share` of the stage's progress, percent."""
    wanted = {era for window in job.windows for era in window.train} | set(job.final_eras)
    return measure(
        store,
        job.target,
        [era for era in store.eras if era in wanted],
        threads=threads,
        progress=lambda done, total: report(share * done / total, 100, f"associations, era {done} of {total}"),
    )


def _kept(path: Path, signature: str) -> pl.DataFrame | None:
    """The table that an earlier attempt finished, or None when it has to be made."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if note["signature"] == signature and note["sha256"] == file_sha256(path):
            return read_parquet(path)
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None
    return None


def write_frame(path: Path, frame: pl.DataFrame) -> Path:
    """Write a parquet file whole or not at all; the same content gives the same bytes."""
    with atomic_path(path) as temporary:
        frame.write_parquet(temporary, compression="zstd")
    return path


def _write_blocks(out: Path, associations: Associations) -> None:
    blocks, means = block_means(associations.eras, associations.values, BLOCK_ERAS)
    columns = {block: np.ascontiguousarray(row) for block, row in zip(blocks, means, strict=True)}
    write_frame(out / ASSOCIATIONS, pl.DataFrame({"feature": associations.features, **columns}))
