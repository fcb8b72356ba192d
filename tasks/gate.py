"""Judge the ensemble, and choose what may be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.states import Failed

from eraflow.discovery.leakstage import read_leaks
from eraflow.disk.atomic import write_json
from eraflow.gate.adaptedbases import adapted_bases
from eraflow.gate.gate import GateBlockedError, judge
from eraflow.gate.heldweek import what_may_be_done
from eraflow.gate.triedconfigurations import tried_configurations
from eraflow.gate.verdict import Verdict
from eraflow.numerai.rounds import Round
from eraflow.runs.outcome import now_there
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import HELD, write_outcome
from eraflow.scoring.backtest import BLEND, read_benchmark, read_history, read_scores
from eraflow.scoring.scoring import ModelScores
from tasks.features import Features
from tasks.pages.artifacts import show_verdict
from tasks.run import Run
from tasks.stage import LIGHT_TASK


@dataclass(frozen=True)
class JudgedEnsemble:
    """An ensemble folder together with the verdict that was given on exactly this ensemble."""

    ensemble: Path
    signature: str
    verdict: Verdict


@task(name="gate", task_run_name="gate", **LIGHT_TASK)
def decide(
    run: Run,
    features: Features,
    members: Sequence[StageRecord],
    blended: StageRecord,
    backtested: StageRecord,
    champion: ModelScores | None,
    round_now: Round,
    leaks: StageRecord | None = None,
) -> Verdict:
    """The verdict on exactly this ensemble for this round; stored in `RUN_DIR/gate/verdict.json` and shown."""
    scores = read_scores(backtested.path)
    verdict = judge(
        scores[BLEND],
        champion=champion,
        settings=run.settings.gate,
        horizon_days=features.contract.horizon_days,
        ensemble_signature=ensemble_signature(blended),
        round_number=round_now.number,
        models_trained=len(members),
        models_wanted=len(run.settings.blended_models),
        now=now_there(run.path),
        bases=adapted_bases(run.path),
        tried=tried_configurations(run.path, run.settings.home_path, features.contract.target),
        history=read_history(backtested.path),
        benchmark=read_benchmark(backtested.path, scores),
        leaks=None if leaks is None else read_leaks(leaks.path),
    )
    write_json(run.path / "gate" / "verdict.json", verdict.as_dict())
    show_verdict(verdict)
    for rule in verdict.rules:
        get_run_logger().info("gate %s %s", rule.state if rule.passed else "BLOCKED", rule.text)
    for base in verdict.bases:
        get_run_logger().info("%s", base.text)
    return verdict


def ours(blended: StageRecord, verdict: Verdict) -> JudgedEnsemble | None:
    """This week's ensemble if it passed."""
    if not verdict.passed:
        return None
    return JudgedEnsemble(blended.path / "ensemble", ensemble_signature(blended), verdict)


def held(run: Run, verdict: Verdict, round_now: Round, no_stand_in: str = "", *, predicted: bool = False) -> State[Any]:
    """The end of a blocked week: a red state named Held, so that nobody takes it for a submission.

    It holds a named error, as every failed run's state does: Prefect raises it where a worker ends, and a named error
    is one line in the log.

    Args:
        run, verdict, round_now: what is held.
        no_stand_in: why the champion cannot stand in, where it should.
        predicted: whether the live prediction was made and kept.
    """
    may_be_done = what_may_be_done(run.path, verdict, round_now.close_time, predicted=predicted)
    write_json(run.path / HELD, {"closes": round_now.close_time.isoformat(), "may_be_done": may_be_done})
    write_outcome(run.path)
    reasons = "; ".join(verdict.reasons())
    champion = f"; the champion cannot stand in: {no_stand_in}" if no_stand_in else ""
    problem = f"the gate blocked, nothing was sent: {reasons}{champion}; run {run.path}"
    remedy = "\n".join(["what may be done:", *(f"- {sentence}" for sentence in may_be_done)])
    return Failed(name="Held", message=f"{problem}\n{remedy}", data=GateBlockedError(problem, remedy))


def ensemble_signature(blended: StageRecord) -> str:
    """The signature of the ensemble that a blend stage made."""
    value: Any = blended.metrics["ensemble_signature"]
    return str(value)
