"""The stage that scores every model, the blend and the benchmark on their out-of-fold eras."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eraflow.data.coverage import META_MODEL
from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.disk.plainpaths import read_parquet
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.machine.job import How, stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.scoring.memberworth import member_worth
from eraflow.scoring.metrics import PreparedCorr, SortedPredictions
from eraflow.scoring.neutralisationworth import JudgedEras, neutralisation_worth
from eraflow.scoring.neutralise import Neutralisation
from eraflow.scoring.payout import TODAY, Payout
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.scoring import NO_ERAS, EraScores, ModelScores, score_predictions
from eraflow.scoring.statistics import overlap_weeks, paired_comparison

BLEND = "blend"
SCORES = "scores.json"
HISTORY = "history.json"
HISTORY_ERAS = 50
"""Eras of the benchmark's history that are scored at once."""
COMPARISONS = "comparisons.json"
NEUTRALISATION = "neutralisation.json"
WORTH = "worth.json"


class MisalignedPredictionsError(EraflowError):
    """Predictions do not have exactly the rows of the era store. They were made from other data."""

    code = "misaligned_predictions"


@dataclass(frozen=True, kw_only=True)
class BacktestJob:
    """Predictions to be scored; what they hold is known by the signatures of their stages.

    Attributes:
        target, horizon_days: what everybody is judged on.
        benchmark: column of the store; None: there is none.
        fnc_features: what FNC neutralises to.
        confidence: one-sided confidence of the bounds.
        payout: what an era pays.
        neutralisation: the chosen proportion, and the features of which each proportion's worth is told; None: no.
        store: folder of the era store.
        predictions: name -> parquet with id, era, prediction.
        unneutralised: file of the blend as it was before.
        without: scores of the blends that lack one member each; None: there are none.
    """

    target: str
    horizon_days: int
    benchmark: str | None = None
    fnc_features: tuple[str, ...] = ()
    confidence: float
    payout: Payout = TODAY
    neutralisation: Neutralisation | None = None
    store: How[Path]
    predictions: How[dict[str, Path]]
    unneutralised: How[Path | None] = None
    without: How[Path | None] = None


@stage_function(BacktestJob)
def backtest(job: BacktestJob, out: Path, _: Plan) -> dict[str, Any]:
    """Score all predictions and the benchmark on the same eras.

    Writes `out/scores.json`: name -> ModelScores. The benchmark's own row is called by its name. With `neutralisation`
    writes `out/neutralisation.json`: what each proportion would be worth, see `neutralisation_worth`. With `without`
    writes `out/worth.json`: what each member is worth to the blend, see `member_worth`. With a benchmark writes
    `out/history.json`: its CORR in every era in which it is known, judged or not.

    Returns:
        mean CORR and eras of each.
    """
    store = EraStore.open(job.store)
    frames = {name: aligned_predictions(store, path) for name, path in job.predictions.items()}
    eras = next(iter(frames.values()))[0]
    columns = {name: values for name, (_, values) in frames.items()}
    if job.benchmark is not None:
        columns[job.benchmark] = store.column(job.benchmark, eras)
    scores = dict(_scores(job, store, columns, eras))
    if job.neutralisation is not None and job.unneutralised is not None:
        worth = _worth(job, store, job.unneutralised, job.neutralisation, eras)
        write_json(out / NEUTRALISATION, worth)
    if job.benchmark is not None:
        write_json(out / HISTORY, _history(store, job.benchmark, job.target))
    overlap = overlap_weeks(job.horizon_days)
    if job.without is not None:
        write_json(out / WORTH, member_worth(job.without, overlap, job.confidence))
    write_json(out / COMPARISONS, _comparisons(scores, job.benchmark, overlap, job.confidence))
    write_json(out / SCORES, {name: model.as_dict() for name, model in scores.items()})
    return {
        name: {"corr": model.summary["corr"].mean, "eras": model.summary["corr"].eras} for name, model in scores.items()
    }


def _scores(
    job: BacktestJob, store: EraStore, columns: Mapping[str, NDArray[np.float64]], eras: Sequence[str]
) -> Iterator[tuple[str, ModelScores]]:
    for done, (name, values) in enumerate(columns.items()):
        report(done, len(columns), f"scoring {name}")
        yield (
            name,
            score_predictions(
                store,
                values,
                eras=eras,
                target=job.target,
                benchmark=None if name == job.benchmark else job.benchmark,
                meta_model=META_MODEL if META_MODEL in store.columns else None,
                fnc_features=job.fnc_features,
                payout=job.payout,
                confidence=job.confidence,
                horizon_days=job.horizon_days,
            ),
        )


def _history(store: EraStore, benchmark: str, target: str) -> dict[str, Any]:
    """CORR of the benchmark in every era of the store in which it is known; few eras lie in memory at a time."""
    eras: list[str] = []
    values: list[float] = []
    for start in range(0, len(store.eras), HISTORY_ERAS):
        some = store.eras[start : start + HISTORY_ERAS]
        groups, predictions = EraGroups(store.offsets(some)), store.column(benchmark, some)
        found = PreparedCorr(store.column(target, some), groups).of(SortedPredictions(predictions, groups))
        known = np.flatnonzero(np.isfinite(found))
        eras += [some[place] for place in known]
        values += found[known].tolist()
    return {"eras": eras, "values": values}


def _worth(
    job: BacktestJob, store: EraStore, blend: Path, neutralisation: Neutralisation, judged: Sequence[str]
) -> dict[str, Any]:
    eras, values = aligned_predictions(store, blend)
    if eras != list(judged):
        raise MisalignedPredictionsError(f"{blend} does not hold the judged eras", "blend again")
    return neutralisation_worth(
        store,
        values,
        list(neutralisation.features),
        neutralisation.proportion,
        JudgedEras(
            eras,
            job.target,
            job.horizon_days,
            job.benchmark,
            META_MODEL if META_MODEL in store.columns else None,
            job.confidence,
            job.payout,
        ),
        lambda done, total: report(done, total, "eras neutralised to see what it is worth"),
    )


def _comparisons(
    scores: Mapping[str, ModelScores], benchmark: str | None, overlap: int, confidence: float
) -> dict[str, Any]:
    """Each model against the benchmark, era by era on the eras that both have.

    CORR of both, difference and verdict; the same of the payout under `payout`, where the meta model covers eras that
    both have. The payout with BMC is not compared: the BMC of a benchmark against itself is nothing.
    """
    if benchmark is None:
        return {}
    theirs = scores[benchmark]
    found = {}
    for name, model in scores.items():
        compared = None if name == benchmark else _compared(model, theirs, "corr", overlap, confidence)
        if compared is not None:
            paid = _compared(model, theirs, "payout", overlap, confidence)
            found[name] = {"benchmark": benchmark, **compared, **({} if paid is None else {"payout": paid})}
    return found


def _compared(
    model: ModelScores, benchmark: ModelScores, metric: str, overlap: int, confidence: float
) -> dict[str, Any] | None:
    """One metric of both on the eras that both have; None where there is no such era."""
    theirs = dict(zip(*benchmark.per_era.get(metric, NO_ERAS), strict=True))
    pairs = [(own, theirs[era]) for era, own in zip(*model.per_era.get(metric, NO_ERAS), strict=True) if era in theirs]
    if not pairs:
        return None
    own, other = np.asarray(pairs).T
    compared = paired_comparison(own, other, overlap, confidence).as_dict()
    return {
        "eras": len(pairs),
        metric: float(own.mean()),
        f"benchmark_{metric}": float(other.mean()),
        **{key: compared[key] for key in ("difference", "low", "high", "verdict")},
    }


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
    return read_object(folder / NEUTRALISATION)


def read_worth(folder: Path) -> dict[str, Any] | None:
    """What each member is worth to the blend, as `backtest` wrote it; None of a single member."""
    return read_object(folder / WORTH)


def read_scores(folder: Path) -> dict[str, ModelScores]:
    """What `backtest` wrote."""
    written = json.loads((folder / SCORES).read_text())
    return {name: ModelScores.from_dict(values) for name, values in written.items()}


def read_benchmark(folder: Path, scores: Mapping[str, ModelScores]) -> ModelScores | None:
    """The scores of the benchmark among those that `backtest` wrote; None where there is none."""
    compared_with = read_object(folder / COMPARISONS) or {}
    named = {compared["benchmark"] for compared in compared_with.values()}
    return next((scores[name] for name in named if name in scores), None)


def read_history(folder: Path) -> EraScores:
    """The benchmark's CORR in every era in which it is known, as `backtest` wrote it; none in an older folder."""
    written = read_object(folder / HISTORY)
    return NO_ERAS if written is None else EraScores(tuple(written["eras"]), tuple(written["values"]))
