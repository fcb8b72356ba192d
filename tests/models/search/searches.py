"""Small searches for the tests; also a command, so that a search can be killed.

python -m tests.models.search.searches HOME TRIALS [KEY=JSON ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from eraflow.settings.search import SearchSettings
from eraflow.settings.windows import WindowSettings
from models.search.folds import SearchEras, search_eras
from models.search.job import Learnt, SearchJob
from models.search.stage import search_model
from tests.models.planted import PLAN, TARGET

SEARCH = {"folds": 2, "finalists": 2, "confirm_share": 0.25}


def eras_of(labels: list[str], first_judged: str | None = None) -> SearchEras:
    first = first_judged or labels[-10]
    search, windows = SearchSettings(**SEARCH), WindowSettings()
    return search_eras(labels, labels, first, horizons=[20], search=search, windows=windows)


def arguments(home: Path, labels: list[str], *, kind: str = "lightgbm", **over: Any) -> dict[str, Any]:
    """The arguments of `search_model` for the store in `home`; `search` is laid on the small settings."""
    job = SearchJob(
        kind=kind,
        name=kind,
        params=over.pop("params", {"n_estimators": 16, "learning_rate": 0.1, "colsample": 0.5}),
        key="key",
        eras=over.pop("eras", None) or eras_of(labels),
        learn=Learnt(TARGET),
        target=TARGET,
        horizon_days=20,
        search=SearchSettings(**{**SEARCH, **over.pop("search", {})}),
        seed=7,
        store=home / "store",
        home=home,
    )
    return {"job": job, "out": home / "out", "plan": PLAN, **over}


def report_of(home: Path) -> dict[str, Any]:
    return json.loads((home / "out" / "search.json").read_text())


def main(argv: list[str]) -> None:
    home, trials, *rest = argv
    search = {
        "trials": int(trials),
        **{name: json.loads(value) for name, _, value in (one.partition("=") for one in rest)},
    }
    place, kind = search.pop("out", "out"), search.pop("kind", "lightgbm")
    labels = json.loads((Path(home) / "eras.json").read_text())
    params = search.pop("params", None)
    over: dict[str, Any] = {"search": search, "out": str(Path(home) / place), "kind": kind}
    search_model(**arguments(Path(home), labels, **over, **({} if params is None else {"params": params})))


if __name__ == "__main__":
    main(sys.argv[1:])
