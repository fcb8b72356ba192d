"""What the backtest said of a model that is uploaded, kept beside it: the diagnostics come days later."""

from __future__ import annotations

from pathlib import Path

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.scoring.backtest import BLEND, SCORES, read_scores
from eraflow.scoring.insample import Origin, origin_of
from eraflow.scoring.scoring import EraScores
from models.ensembles.ensemble import read_ensemble
from tasks.gate import JudgedEnsemble
from tasks.run import Run

NOTE = "backtest.json"


def write_backtest_note(path: Path, run: Run, shipped: JudgedEnsemble) -> Path | None:
    """Write CORR by era of the ensemble and what its models have learnt from; None where the run has not judged it.

    The champion that stands in for a held week was judged in another run.
    """
    folder = run.path / "backtest"
    if shipped.ensemble != run.path / "blend" / "ensemble" or not (folder / SCORES).is_file():
        return None
    scores = read_scores(folder)[BLEND]
    corr = scores.per_era["corr"]
    members = [shipped.ensemble / "models" / member["name"] for member in read_ensemble(shipped.ensemble)["members"]]
    return write_json(
        path,
        {
            "eras": list(corr.eras),
            "corr": list(corr.values),
            "horizon_days": scores.horizon_days,
            "target": scores.target,
            "origin": origin_of(members).as_dict(),
        },
    )


def read_backtest_note(path: Path) -> tuple[EraScores, int, Origin] | None:
    """CORR by era, the horizon in days, and what the model has learnt from; None where there is no such note."""
    values = read_object(path)
    try:
        if values is None:
            return None
        corr = EraScores(tuple(map(str, values["eras"])), tuple(map(float, values["corr"])))
        return corr, int(values["horizon_days"]), Origin.from_dict(values["origin"])
    except (KeyError, TypeError, ValueError):
        return None
