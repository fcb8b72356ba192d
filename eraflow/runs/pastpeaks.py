"""What the stages of earlier runs really needed, read from their manifests."""

from __future__ import annotations

from pathlib import Path

from eraflow.runs.stage import MANIFEST, StageRecord, read_manifest

MAX_RUNS = 40
MAX_FOUND = 20


def earlier_ratios(runs: Path, kind: str, *, also: Path | None = None) -> list[float]:
    """Peak memory over the uncorrected estimate of finished stages of one kind, oldest first.

    Args:
        runs: the folder of all runs; of the forty newest folders in it at most twenty stages are read.
        kind: the kind of work, as in `eraflow.machine.estimate`.
        also: one more run folder, the present one, which counts as the newest.
    """
    folders = sorted((path for path in runs.glob("*") if path.is_dir()), key=_changed)[-MAX_RUNS:]
    folders = [folder for folder in folders if folder != also] + ([also] if also is not None else [])
    newest_first: list[float] = []
    for folder in reversed(folders):
        for manifest in sorted(folder.glob(f"*/{MANIFEST}"), key=_changed, reverse=True):
            ratio = _ratio(read_manifest(manifest.parent), kind)
            newest_first += [] if ratio is None else [ratio]
        if len(newest_first) >= MAX_FOUND:
            break
    return newest_first[:MAX_FOUND][::-1]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def _ratio(record: StageRecord | None, kind: str) -> float | None:
    if record is None or record.estimate.get("kind") != kind or record.peak_mb is None:
        return None
    raw = record.estimate.get("raw_mb")
    return record.peak_mb / raw if isinstance(raw, int | float) and raw > 0 and record.peak_mb > 0 else None
