"""Every configuration that was scored on the judged eras: the members of this week, and what earlier weeks tried.

A search chooses on eras before the judged ones, so its trials are no choice among what is judged here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eraflow.disk.jsonobject import read_object
from eraflow.disk.ownership import is_run_dir
from eraflow.runs.unfinished import SETTINGS
from eraflow.scoring.backtest import BLEND, COMPARISONS, SCORES
from eraflow.scoring.scoring import EraScores

MOST_RUNS = 52
"""Earlier runs that are looked at, the newest first: a year of weeks."""
SAME_DATA = ("source", "sandbox")
"""Groups of settings that say which data a run judged on."""
SOURCE_FIELDS = ("kind", "data_dir", "url")


def tried_configurations(run_dir: Path, home: Path, target: str) -> tuple[EraScores, ...]:
    """CORR by era of the members of a run, then of members and blends of earlier runs on the same data and target.

    Args:
        run_dir: folder of the run; its own blend is not among them.
        home: whose runs are looked at; one that cannot be read is passed over.
        target: what is judged on.
    """
    found = list(_of_run(run_dir, target, without=BLEND))
    data = _data(run_dir)
    others = [path for path in (home / "runs").glob("*") if path != run_dir and is_run_dir(path)]
    earlier = sorted((path for path in others if path.name < run_dir.name), key=lambda path: path.name, reverse=True)
    for path in earlier[:MOST_RUNS]:
        if data is not None and _data(path) == data:
            found += _of_run(path, target)
    return tuple(found)


def _of_run(run_dir: Path, target: str, without: str = "") -> Iterator[EraScores]:
    folder = run_dir / "backtest"
    compared = read_object(folder / COMPARISONS) or {}
    left_out = {without, *(told.get("benchmark", "") for told in compared.values())}
    for name, told in (read_object(folder / SCORES) or {}).items():
        corr = told.get("per_era", {}).get("corr")
        if name not in left_out and told.get("target") == target and corr:
            yield EraScores(tuple(corr["eras"]), tuple(corr["values"]))


def _data(run_dir: Path) -> Mapping[str, Any] | None:
    """What tells the data of a run; None where its settings cannot be read."""
    settings = read_object(run_dir / SETTINGS)
    if settings is None:
        return None
    source, sandbox = (settings.get(name) or {} for name in SAME_DATA)
    return {"source": {name: source.get(name) for name in SOURCE_FIELDS}, "sandbox": sandbox}
