"""The stage that selects features: for each window from its own training eras, and for live from all resolved ones.

out/selection.json       {"method", "windows": [{"index", "features"}], "live"}: what training reads
out/window-<i>.parquet   every feature's figures in window i; window-live.parquet for live
out/associations.parquet mean association of every feature in blocks of eras, for the heat map
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eraflow.discovery.association import Associations, measure
from eraflow.discovery.drift import BLOCK_ERAS, block_means
from eraflow.discovery.selection import choose_features
from eraflow.disk.atomic import atomic_path, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.disk.plainpaths import read_parquet
from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.settings.selection import SelectionSettings

SELECTION = "selection.json"
ASSOCIATIONS = "associations.parquet"
LIVE = "live"


@dataclass(frozen=True)
class _Job:
    """What all windows share."""

    out: Path
    store: EraStore
    target: str
    settings: SelectionSettings
    overlap_weeks: int
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
                self.target,
                self.associations.of(eras),
                self.settings,
                overlap_weeks=self.overlap_weeks,
                threads=self.threads,
            )
            kept = found.table(self.store.features)
            write_frame(path, kept)
            write_json(path.with_suffix(".json"), {"signature": signature, "sha256": file_sha256(path)})
        counts = kept.group_by("outcome").len().sort("outcome")
        chosen = kept.filter(pl.col("chosen"))["feature"].to_list()
        return chosen, dict(zip(counts["outcome"].to_list(), counts["len"].to_list(), strict=True))

    def _signature(self, eras: Sequence[str]) -> str:
        settings = self.settings.model_dump(mode="json")
        return value_sha256({"settings": settings, "target": self.target, "eras": list(eras)})


def select_features(
    *,
    out: str,
    store: str,
    windows: Sequence[Mapping[str, Any]],
    resolved_eras: Sequence[str],
    target: str,
    overlap_weeks: int,
    selection: Mapping[str, Any],
    plan: Mapping[str, Any],
) -> dict[str, Any]:
    """Select features for every window from its training eras, and for live from `resolved_eras`.

    Args:
        out: folder of the stage.
        store: folder of the era store.
        windows: index and train of each, as `eraflow.data.eras.Window` has them.
        resolved_eras: what the final fit learns from.
        target: explicit name of the target.
        overlap_weeks: weeks over which its labels overlap.
        selection: SelectionSettings as a dictionary.
        plan: a Plan as a dictionary; only its threads matter.

    Returns:
        Figures for tables: features of the store, chosen and the outcomes for each window and live, and how many
        features all windows share.

    Raises:
        DiscoveryDataError: too few eras, or the target is not known in them.
    """
    opened, settings = EraStore.open(store), SelectionSettings(**selection)
    wanted = {era for window in windows for era in window["train"]} | set(resolved_eras)
    eras = [era for era in opened.eras if era in wanted]
    threads = Plan(**plan).threads
    steps = 100 / (len(windows) + 2)
    associations = measure(
        opened,
        target,
        eras,
        threads=threads,
        progress=lambda done, total: report(steps * done / total, 100, f"associations, era {done} of {total}"),
    )
    job = _Job(Path(out), opened, target, settings, overlap_weeks, threads, associations)
    chosen: dict[str, list[str]] = {}
    counts: dict[str, dict[str, int]] = {}
    jobs = {str(window["index"]): window["train"] for window in windows} | {LIVE: resolved_eras}
    for done, (label, train) in enumerate(jobs.items(), 1):
        chosen[label], counts[label] = job.window(label, train)
        report(steps * (1 + done), 100, f"window {label}: {len(chosen[label])} features")
    _write_blocks(job, associations.of(resolved_eras))
    listed = [{"index": window["index"], "features": chosen[str(window["index"])]} for window in windows]
    write_json(job.out / SELECTION, {"method": settings.method, "windows": listed, "live": chosen[LIVE]})
    return {
        "features": len(opened.features),
        "chosen": {label: len(names) for label, names in chosen.items()},
        "in_all": len(set.intersection(*(set(names) for names in chosen.values()))),
        "outcomes": counts,
    }


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


def _write_blocks(job: _Job, associations: Associations) -> None:
    blocks, means = block_means(associations.eras, associations.values, BLOCK_ERAS)
    columns = {block: np.ascontiguousarray(row) for block, row in zip(blocks, means, strict=True)}
    write_frame(job.out / ASSOCIATIONS, pl.DataFrame({"feature": associations.features, **columns}))
