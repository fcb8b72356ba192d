"""The stage that scores every model, the blend and the benchmark on their out-of-fold eras."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eraflow.data.coverage import META_MODEL
from eraflow.disk.atomic import write_json
from eraflow.disk.plainpaths import read_parquet
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.machine.progress import report
from eraflow.scoring.neutralisationworth import JudgedEras, neutralisation_worth
from eraflow.scoring.scoring import ModelScores, score_predictions
from eraflow.scoring.statistics import overlap_weeks, paired_comparison

BLEND = "blend"
SCORES = "scores.json"
COMPARISONS = "comparisons.json"
NEUTRALISATION = "neutralisation.json"


class MisalignedPredictionsError(EraflowError):
    """Predictions do not have exactly the rows of the era store. They were made from other data."""

    code = "misaligned_predictions"


def backtest(
    *,
    out: str,
    store: str,
    predictions: Mapping[str, str],
    target: str,
    horizon_days: int,
    benchmark: str | None,
    fnc_features: Sequence[str],
    confidence: float,
    plan: Mapping[str, Any],
    neutralisation: Mapping[str, Any] | None = None,
    unneutralised: str | None = None,
) -> dict[str, Any]:
    """Score `predictions` (name -> parquet with id, era, prediction) and the benchmark on the same eras.

    Writes `out/scores.json`: name -> ModelScores. The benchmark's own row is called by its name. With `neutralisation`
    (the chosen `proportion`, and `features`) and the file of the blend as it was before, writes
    `out/neutralisation.json`: what each proportion would be worth, see `neutralisation_worth`.

    Returns:
        mean CORR and eras of each.
    """
    opened = EraStore.open(Path(store))
    frames = {name: aligned_predictions(opened, Path(path)) for name, path in predictions.items()}
    eras = next(iter(frames.values()))[0]
    columns = {name: values for name, (_, values) in frames.items()}
    if benchmark is not None:
        columns[benchmark] = opened.column(benchmark, eras)
    scores = {}
    for done, (name, values) in enumerate(columns.items()):
        report(done, len(columns), f"scoring {name}")
        scores[name] = score_predictions(
            opened,
            values,
            eras=eras,
            target=target,
            benchmark=None if name == benchmark else benchmark,
            meta_model=META_MODEL if META_MODEL in opened.columns else None,
            fnc_features=fnc_features,
            confidence=confidence,
            horizon_days=horizon_days,
        )
    if neutralisation is not None and unneutralised is not None:
        judged = JudgedEras(
            eras, target, horizon_days, benchmark, META_MODEL if META_MODEL in opened.columns else None, confidence
        )
        write_json(Path(out) / NEUTRALISATION, _worth(opened, Path(unneutralised), neutralisation, judged))
    write_json(Path(out) / COMPARISONS, _comparisons(scores, benchmark, overlap_weeks(horizon_days), confidence))
    write_json(Path(out) / SCORES, {name: model.as_dict() for name, model in scores.items()})
    return {
        name: {"corr": model.summary["corr"].mean, "eras": model.summary["corr"].eras} for name, model in scores.items()
    }


def _worth(store: EraStore, blend: Path, neutralisation: Mapping[str, Any], judged: JudgedEras) -> dict[str, Any]:
    eras, values = aligned_predictions(store, blend)
    if eras != list(judged.eras):
        raise MisalignedPredictionsError(f"{blend} does not hold the judged eras", "blend again")
    return neutralisation_worth(
        store,
        values,
        list(neutralisation["features"]),
        float(neutralisation["proportion"]),
        judged,
        lambda done, total: report(done, total, "eras neutralised to see what it is worth"),
    )


def _comparisons(
    scores: Mapping[str, ModelScores], benchmark: str | None, overlap: int, confidence: float
) -> dict[str, Any]:
    """Each model against the benchmark, era by era on the eras that both have: CORR of both, difference, verdict."""
    if benchmark is None:
        return {}
    theirs = dict(zip(*scores[benchmark].per_era["corr"], strict=True))
    found = {}
    for name, model in scores.items():
        pairs = [(own, theirs[era]) for era, own in zip(*model.per_era["corr"], strict=True) if era in theirs]
        if name == benchmark or not pairs:
            continue
        own, other = np.asarray(pairs).T
        compared = paired_comparison(own, other, overlap, confidence).as_dict()
        found[name] = {
            "benchmark": benchmark,
            "eras": len(pairs),
            "corr": float(own.mean()),
            "benchmark_corr": float(other.mean()),
            **{key: compared[key] for key in ("difference", "low", "high", "verdict")},
        }
    return found


def aligned_predictions(store: EraStore, path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """The eras and values of a prediction file, whose rows must be exactly the store's rows of those eras."""
    frame = read_parquet(path, columns=["id", "era", "prediction"])
    eras = frame["era"].unique(maintain_order=True).to_list()
    if not np.array_equal(frame["id"].to_numpy(), np.asarray(store.ids(eras))):
        raise MisalignedPredictionsError(
            f"{path} does not hold the ids of the era store in its order", "train this model again on this store"
        )
    return eras, frame["prediction"].to_numpy()


def read_comparisons(folder: Path) -> dict[str, Any]:
    """Each model against the benchmark, as `backtest` wrote it; empty without a benchmark."""
    found: dict[str, Any] = json.loads((folder / COMPARISONS).read_text())
    return found


def read_neutralisation(folder: Path) -> dict[str, Any] | None:
    """What each proportion would be worth, as `backtest` wrote it; None when that was not asked for."""
    if not (folder / NEUTRALISATION).exists():
        return None
    found: dict[str, Any] = json.loads((folder / NEUTRALISATION).read_text())
    return found


def read_scores(folder: Path) -> dict[str, ModelScores]:
    """What `backtest` wrote."""
    written = json.loads((folder / SCORES).read_text())
    return {name: ModelScores.from_dict(values) for name, values in written.items()}
