"""The record of a search run, read from its folder: what `eraflow search --json` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.runs.stage import read_manifest
from eraflow.runs.weekrecord import SEARCH, week_record, write_outcome

REPORT = "search.json"
KEPT = ("kind", "study", "kept", "params", "trials", "eras", "confirmation")
OF_THE_WEEK = ("run_dir", "identity", "lost_searches", "stages", "seconds", "error")


def search_record(run_dir: Path) -> dict[str, Any]:
    """Everything that the folder of a search run tells.

    Returns:
        run_dir; identity; outcome: `searched` or `failed`; search: model to kind, study, kept (`searched` or
        `defaults`), params, trials, eras and confirmation (a row with intervals for the defaults and each finalist);
        lost_searches; stages; seconds; error or null.
    """
    week = week_record(run_dir)
    found = {
        name.removeprefix(SEARCH): report
        for name in week["stages"]
        if name.startswith(SEARCH) and (report := _report(run_dir / name)) is not None
    }
    outcome = "searched" if found and week["error"] is None else "failed"
    return {"outcome": outcome, "search": found, **{name: week[name] for name in OF_THE_WEEK}}


def write_search_outcome(run_dir: Path) -> dict[str, Any]:
    """Write `record.json` of a search run that ended as it should, and return it."""
    write_outcome(run_dir)  # stops the clock
    record = search_record(run_dir)
    write_json(run_dir / "record.json", record)
    return record


def _report(folder: Path) -> dict[str, Any] | None:
    if read_manifest(folder) is None:
        return None
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {name: report[name] for name in KEPT if name in report}
