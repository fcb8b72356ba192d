"""Clean the home: what a registered model, a search or a run at work needs stays; the rest goes by age and size.

The copies of versions that an alias names stay, too: with them a champion is sent while its store is away.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.runs.cleaningplan import CleaningPlan, carry_out, now, plan
from eraflow.runs.ensemblefolders import week_of
from eraflow.runs.reclaim import (
    AT_WORK,
    COPY,
    UNFINISHED,
    Removable,
    folder_pieces,
    kept_runs,
    leftovers,
    reproduction_pieces,
    run_pieces,
    store_pieces,
)
from eraflow.runs.unfinished import SETTINGS
from eraflow.settings.run import RunSettings
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.championcopy import copies_in_use
from eraflow.tracking.mlflowlink import TrackingError
from eraflow.tracking.tracking import Tracker
from models.boosters.binentry import entries

BINS = "cache/bins"
GB = 1e9


def planned_cleaning(home: Path, *, bulk_days: float, keep_days: float, max_gb: float | None) -> CleaningPlan:
    """What would go. Nothing is removed.

    Args:
        home: the home folder.
        bulk_days: age of what can be made or fetched again.
        keep_days: age of finished runs.
        max_gb: size of the home, GB; None: any.

    Raises:
        TrackingError: MLflow's registry cannot be read, so nobody knows what it points to.
    """
    moment = now()
    kept = kept_runs(home, referenced_runs(home), moment)
    pieces = [*leftovers(home), *run_pieces(home, kept), *store_pieces(home, kept), *_bin_pieces(home)]
    pieces += reproduction_pieces(home)
    if not any(why in (AT_WORK, UNFINISHED) for why in kept.values()):  # those may need what was fetched
        copies = {name for tracker in _trackers(home) for name in copies_in_use(tracker)}
        pieces += [piece for piece in folder_pieces(home) if not (piece.kind == COPY and piece.path.name in copies)]
    size = None if max_gb is None else max_gb * GB
    return plan(pieces, home, kept, bulk_days=bulk_days, keep_days=keep_days, max_bytes=size, now=moment)


def clean_after_week(settings: RunSettings, log: Any) -> None:
    """Clean as the settings say, and tell it in the log. Never costs the week that has just ended."""
    wanted = settings.clean
    if not wanted.after_week:
        return
    try:
        found = planned_cleaning(
            settings.home_path, bulk_days=wanted.bulk_days, keep_days=wanted.keep_days, max_gb=wanted.max_gb
        )
        done, refused = carry_out(found.going)
    except (EraflowError, OSError) as error:
        log.warning("the home is not cleaned: %s", error)
        return
    if done:
        freed = sum(each.bytes for each in done)
        log.info("cleaned: %d things that nothing needs any more, %.1f GB freed", len(done), freed / GB)
    for path, why in refused.items():
        log.warning("%s could not be removed: %s", path, why)


def referenced_runs(home: Path) -> frozenset[str]:
    """Names of the runs that a registered model or a kept search points to.

    Raises:
        TrackingError: MLflow cannot be read.
    """
    found = {name for tracker in _trackers(home) for name in _registered(tracker)}
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in (home / "search").rglob("*.json")]
    return frozenset(
        found | {run.name for run in (home / "runs").glob("*/") if any(run.name in text for text in texts)}
    )


def _trackers(home: Path) -> Iterator[Tracker]:
    """MLflow of this home, and every server that the settings of its runs name.

    Raises:
        TrackingError: the settings of a run cannot be read, so the server that they name may point to any run.
    """
    uris: set[str | None] = {None}
    for path in (home / "runs").glob(f"*/{SETTINGS}"):
        tracking = (read_object(path) or {}).get("tracking")
        if not isinstance(tracking, dict):
            raise TrackingError(
                f"{path} cannot be read, so nobody knows which models point to runs of this home; nothing is removed",
                "put the file in order, or remove the folder of this run yourself",
            )
        uris.add(tracking.get("uri"))
    for uri in uris:
        tracker = Tracker(home, TrackingSettings(uri=uri))
        if tracker.exists():
            yield tracker


def _registered(tracker: Tracker) -> Iterator[str]:
    token = None
    while True:
        page = tracker.link.call("search_model_versions", max_results=1000, page_token=token)
        yield from (week_of(Path(version.tags["run_dir"])).name for version in page if version.tags.get("run_dir"))
        token = page.token
        if not token:
            return


def _bin_pieces(home: Path) -> list[Removable]:
    return [
        Removable("binned data", entry.bins, (entry.bins,), entry.used_at(), entry.remove_if_free)
        for entry in entries(home / BINS)
    ]
