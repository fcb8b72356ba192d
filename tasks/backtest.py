"""Score every model, the blend and the benchmark on the same out-of-fold eras, and show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prefect import task

from eraflow.machine.estimate import Need
from eraflow.runs.attempt import Work
from eraflow.runs.stage import StageRecord
from eraflow.scoring.backtest import (
    BLEND,
    BacktestJob,
    read_comparisons,
    read_neutralisation,
    read_scores,
    read_worth,
)
from eraflow.scoring.neutralise import Neutralisation
from eraflow.scoring.payout import Payout
from eraflow.scoring.scorefile import fnc_features
from eraflow.scoring.scoring import ModelScores
from models.ensembles.blend import UNNEUTRALISED
from models.ensembles.withoutone import WITHOUT
from tasks.features import Features
from tasks.needs import backtest_need
from tasks.pages.artifacts import show_chart, show_models
from tasks.pages.neutralisationtable import show_neutralisation
from tasks.pages.worthpage import show_worth
from tasks.refresh import Data
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage


@task(name="backtest", task_run_name="backtest", **STAGE_TASK)
def backtest(
    run: Run,
    data: Data,
    features: Features,
    members: Sequence[StageRecord],
    blended: StageRecord,
    neutralisation: Neutralisation,
    payout: Payout,
) -> StageRecord:
    """Per-era scores of every member and the blend, and what neutralising the blend would be worth; chart and tables
    in the UI.
    """
    contract = features.contract
    scored = {**{record.name.removeprefix("train-"): record for record in members}, BLEND: blended}
    job = BacktestJob(
        target=contract.target,
        horizon_days=contract.horizon_days,
        benchmark=contract.benchmark,
        fnc_features=tuple(fnc_features(data.catalog, contract.features)),
        confidence=run.settings.gate.confidence,
        payout=payout,
        neutralisation=neutralisation if run.settings.blend.try_neutralise else None,
        store=features.store,
        predictions={name: record.path / "oof.parquet" for name, record in scored.items()},
        unneutralised=blended.path / (UNNEUTRALISED if neutralisation.proportion > 0 else "oof.parquet"),
        without=blended.path / WITHOUT if WITHOUT in blended.files else None,
    )
    work = Work(
        name="backtest",
        target="eraflow.scoring.backtest:backtest",
        job=job,
        inputs={"features": features.record.signature, **{name: record.signature for name, record in scored.items()}},
        need=_need(backtest_need(contract, members), tried=job.neutralisation is not None),
    )
    record = run_stage(run, work)
    scores = read_scores(record.path)
    show_chart(scores, BLEND, contract.benchmark, contract.target)
    weights = dict(zip(blended.metrics["members"], blended.metrics["weights"], strict=True))
    show_models(model_table(scores, scored, read_comparisons(record.path), weights))
    show_worth(read_worth(record.path))
    show_neutralisation(read_neutralisation(record.path))
    return record


def _need(need: Need, *, tried: bool) -> Need:
    """With the blend and its residual, where the worth of neutralising is judged: less than what a member costs."""
    return replace(need, members=need.members + 1) if tried else need


def model_table(
    scores: Mapping[str, ModelScores],
    stages: Mapping[str, StageRecord],
    against: Mapping[str, Any],
    weights: Mapping[str, float],
) -> list[dict[str, Any]]:
    """A row a model: what it learns and weighs, CORR with interval, Sharpe, against the benchmark, payout, BMC and
    MMC with eras, minutes, folds that an earlier week had left, peak.
    """
    rows = []
    for name, model in scores.items():
        corr, stage = model.summary["corr"], stages.get(name)
        rows.append(
            {
                "model": name,
                "learns": stage.metrics.get("learns", "") if stage else "",
                "weight": f"{weights[name]:.3g}" if name in weights else "",
                "CORR": f"{corr.mean:.4f}",
                "interval": f"{corr.low:.4f} to {corr.high:.4f}",
                "Sharpe": f"{corr.sharpe:.2f}",
                "drawdown": f"{corr.max_drawdown:.2f}",
                "eras": f"{corr.eras} ({corr.first_era} to {corr.last_era})",
                "against the benchmark": _against(against.get(name)),
                "payout": _with_eras(model, "payout", 3),
                "payout with BMC": _with_eras(model, "payout_bmc", 3),
                "BMC": _with_eras(model, "bmc"),
                "MMC": _with_eras(model, "mmc"),
                "FNC": _with_eras(model, "fnc"),
                "minutes": f"{stage.seconds / 60:.1f}" if stage else "",
                "folds found": _found(stage.metrics) if stage else "",
                "peak MiB": f"{stage.peak_mb:.0f}" if stage and stage.peak_mb is not None else "",
            }
        )
    return rows


def _found(metrics: Mapping[str, Any]) -> str:
    """How many folds an earlier week had left, and the minutes that their training had taken."""
    if not metrics.get("folds_kept"):
        return ""
    return f"{metrics['folds_kept']} of {metrics['folds']}, {metrics['seconds_saved'] / 60:.1f} minutes"


def _against(compared: Mapping[str, Any] | None) -> str:
    """The mean differences of CORR and payout on common eras, in words that do not claim more than it shows."""
    if compared is None:
        return ""
    corr = f"{compared['difference']:+.4f} on {compared['eras']} eras: {compared['verdict']}"
    if (paid := compared.get("payout")) is None:
        return corr
    return f"CORR {corr}; payout {paid['difference']:+.3f} on {paid['eras']} eras: {paid['verdict']}"


def _with_eras(model: ModelScores, metric: str, digits: int = 4) -> str:
    summary = model.summary.get(metric)
    return "" if summary is None or summary.eras == 0 else f"{summary.mean:.{digits}f} ({summary.eras})"
