"""Finding the run that was cut off: by its settings, or by the Prefect flow run that worked in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json, write_text
from eraflow.disk.digest import value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.disk.ownership import RUN_FILE
from eraflow.runs.conclusion import conclusion

SETTINGS = "settings.json"
ELSEWHERE = ".elsewhere"
MAX_AGE_DAYS = 6.0  # an older run was for a round that is over; a new one is started instead
# What may be changed between a run and its continuation: where it lies, and how patiently and roomily it works.
HOW_IT_RUNS = frozenset({"run_dir", "home", "machine", "round", "alert", "tracking", "clean"})


def note_run(home: Path, run_dir: Path, flow: str, flow_run_id: str | None) -> None:
    """Write into the run's folder which flow works there and under which Prefect ids, before any work.

    A folder outside `home/runs` is noted there, so that its run is found again.
    """
    known = read_object(run_dir / RUN_FILE) or {"flow": flow, "flow_runs": [], "started": time.time()}
    if flow_run_id is not None and flow_run_id not in known["flow_runs"]:
        known["flow_runs"].append(flow_run_id)
    write_json(run_dir / RUN_FILE, known)
    runs = home / "runs"
    if run_dir.parent != runs:
        write_text(runs / f"{value_sha256(str(run_dir))[:12]}{ELSEWHERE}", str(run_dir))


def folder_of_flow_run(home: Path, flow_run_id: str) -> Path | None:
    """The folder that this very flow run worked in before it was retried."""
    for run_dir in _newest_first(home):
        if flow_run_id in (read_object(run_dir / RUN_FILE) or {}).get("flow_runs", []):
            return run_dir
    return None


def begun_by(run_dir: Path) -> str | None:
    """The flow that was begun in a folder, or None."""
    flow = (read_object(run_dir / RUN_FILE) or {}).get("flow")
    return flow if isinstance(flow, str) else None


def earlier_flow_runs(run_dir: Path) -> list[str]:
    """Prefect ids of all flow runs that have worked in a folder."""
    return [str(known) for known in (read_object(run_dir / RUN_FILE) or {}).get("flow_runs", [])]


def unfinished_runs(home: Path, flow: str) -> Iterator[Path]:
    """Folders of runs that were begun in the last days and never concluded, the newest first.

    Among them are runs that are still at work: whoever opens one learns that from its lock.
    """
    now = time.time()
    for run_dir in _newest_first(home):
        noted = read_object(run_dir / RUN_FILE)
        if noted is None or noted.get("flow") != flow or not is_unfinished(run_dir):
            continue
        if now - float(noted.get("started", 0)) <= MAX_AGE_DAYS * 86_400:
            yield run_dir


def newest_unfinished(home: Path, flow: str, settings: Mapping[str, Any]) -> Path | None:
    """The newest unfinished run of these settings (as JSON values), or None."""
    wanted = what_decides(settings)
    for run_dir in unfinished_runs(home, flow):
        stored = read_object(run_dir / SETTINGS)
        if stored is not None and what_decides(stored) == wanted:
            return run_dir
    return None


def is_unfinished(run_dir: Path) -> bool:
    """Whether a run was begun in this folder and has not come to a conclusion."""
    return (run_dir / SETTINGS).exists() and conclusion(run_dir) is None


def what_decides(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the settings that a continuation must share with the run it continues."""
    decides = {name: value for name, value in settings.items() if name not in HOW_IT_RUNS}
    if isinstance(decides.get("submit"), Mapping):  # whether another submission is replaced may be decided later
        decides["submit"] = {name: value for name, value in decides["submit"].items() if name != "replace"}
    return decides


def _newest_first(home: Path) -> list[Path]:
    """The folders of all noted runs by the time they were begun, those at another place included."""
    runs = home / "runs"
    elsewhere = [Path(note.read_text(encoding="utf-8")) for note in runs.glob(f"*{ELSEWHERE}")]
    noted = [(path, read_object(path / RUN_FILE)) for path in [*runs.glob("*/"), *elsewhere]]
    begun = [(float(values.get("started", 0)), path) for path, values in noted if values is not None]
    return [path for _, path in sorted(begun, reverse=True)]
