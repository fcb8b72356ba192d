"""Record the week in MLflow and register the shipped ensemble as champion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from eraflow.disk.digest import value_sha256
from eraflow.errors import EraflowError
from eraflow.gate.verdict import Verdict
from eraflow.machine.isolate import run_isolated
from eraflow.numerai.client import Slot
from eraflow.numerai.rounds import Round
from eraflow.reports.graphchart import PICTURE
from eraflow.reports.learningcurve import CURVES, read_curves
from eraflow.runs.identity import identity_tags
from eraflow.runs.outcome import outcome_of
from eraflow.runs.scratch import scratch_folder
from eraflow.runs.stage import StageRecord, require
from eraflow.runs.weekrecord import timed
from eraflow.scoring.backtest import BLEND, NEUTRALISATION, SCORES, WORTH, read_scores, read_worth
from eraflow.scoring.scoring import ModelScores
from eraflow.tracking.championseat import Seat
from eraflow.tracking.mlflowview import HEADLINES, log_model
from eraflow.tracking.registry import register_champion, seats
from eraflow.tracking.tracking import TrackedRun, Tracker
from tasks.features import Features
from tasks.run import Run
from tasks.runlog import run_log
from tasks.stage import LIGHT_TASK
from tasks.tournament import source_key

SAVING_SECONDS = 900
LATER = "the ensemble is not registered as champion; once that is mended, do: eraflow models register %s"


def tracker(run: Run) -> Tracker:
    """MLflow as the settings say. What a sandbox ships is registered under a name of its own."""
    tracking = run.settings.tracking
    if run.settings.source.kind == "sandbox":
        tracking = tracking.model_copy(update={"registered_model": f"{tracking.registered_model}-sandbox"})
    return Tracker(run.settings.home_path, tracking)


def known_slot(run: Run) -> Slot:
    """The slot as far as it can be known without keys: the one that the champions of this source and target name.

    Its id is empty where that is not one alone, or not of the name in the settings.
    """
    name = run.settings.submit.model
    blank = seat_of(run, Slot("", name or ""))
    try:
        champions = seats(tracker(run)) if run.settings.tracking.enabled else []
    except EraflowError as error:
        run_log().warning("the champions cannot be listed: %s", error)
        champions = []
    found = [
        seat
        for seat, _, _ in champions
        if (seat.source, seat.target) == (blank.source, blank.target) and name in (None, seat.slot_name)
    ]
    return Slot(found[0].slot, found[0].slot_name) if len(found) == 1 else Slot("", name or "")


def seat_of(run: Run, slot: Slot) -> Seat:
    """What a champion is bound to: where its data came from and their version, the slot, and the target."""
    data = run.settings.data
    return Seat(f"{source_key(run.settings)}/{data.version}", slot.id, data.target, slot.name)


@task(name="track", task_run_name="track", **LIGHT_TASK)
def track(
    run: Run,
    features: Features,
    members: Sequence[StageRecord],
    blended: StageRecord,
    backtested: StageRecord,
) -> str | None:
    """One MLflow run for each model and one for the ensemble; returns the ensemble's run id.

    A tracking server or a store that fails does not cost the week: it is logged as an error, and the week goes on.
    """
    if not run.settings.tracking.enabled:
        return None
    try:
        with timed(run.path, "track"):
            return _track(run, features.record, members, blended, backtested)
    except EraflowError as error:
        get_run_logger().error("%s", error)
        return None


def recorded_run(run: Run, blended: StageRecord, backtested: StageRecord) -> str:
    """The ensemble's MLflow run, recorded now from the run's folder where it is not yet.

    Raises:
        TrackingError: MLflow or the store of its files cannot be written.
        DamagedStageError: the folder does not hold what the run made.
    """
    members = [require(run.path / f"train-{name}") for name in blended.metrics["members"]]
    return _track(run, require(run.path / "features"), members, blended, backtested)


def _track(
    run: Run,
    features: StageRecord,
    members: Sequence[StageRecord],
    blended: StageRecord,
    backtested: StageRecord,
) -> str:
    scores = read_scores(backtested.path)
    book = tracker(run)
    book.check_store()
    tags = {"run_dir": str(run.path), "data_signature": features.signature, **identity_tags(run.path)}
    kinds = {model.name: model for model in run.settings.models}
    weights = dict(zip(blended.metrics["members"], blended.metrics["weights"], strict=True))
    worth = read_worth(backtested.path)
    week = outcome_of(run.path)
    label = week.flow.capitalize() if week.round_number is None else f"Round {week.round_number}"
    with (
        ExitStack() as models,
        book.run(
            f"{label} {BLEND} ({run.path.name})",
            kind="ensemble",
            tags={**tags, "signature": value_sha256([blended.signature, backtested.signature])},
        ) as ensemble,
    ):
        ensemble.log_settings(run.settings.model_dump(mode="json"))
        saved = {} if ensemble.reused else models.enter_context(saved_models(blended.path / "ensemble"))
        model = log_model(book, ensemble, BLEND, saved.get(BLEND, blended.path / "ensemble"), params={}, tags=tags)
        _log_stage(ensemble, blended, scores[BLEND], model)
        judged = [backtested.path / name for name in (SCORES, NEUTRALISATION, WORTH)]
        wanted = (*judged, run.path / "settings.json")
        ensemble.log_files([path for path in wanted if path.exists()])
        for record in members:
            name = record.name.removeprefix("train-")
            with book.run(
                f"{label} {name}",
                kind="model",
                tags={**tags, "signature": value_sha256([record.signature, backtested.signature])},
                parent_run_id=ensemble.run_id,
            ) as child:
                told: dict[str, Any] = {
                    key: record.metrics[key] for key in ("learns", "params") if key in record.metrics
                }
                learnt = {**kinds[name].model_dump(mode="json"), **told}
                child.log_settings(learnt)
                folder = saved.get(f"members/{name}", record.path / "model")
                model = log_model(book, child, name, folder, params=learnt, tags=tags)
                _log_stage(child, record, scores[name], model)
                child.log_metrics({"weight": weights[name], **_worth_figures(worth, name)}, model)
                _log_curves(child, record)
    return ensemble.run_id


@contextmanager
def saved_models(ensemble: Path) -> Iterator[dict[str, Path]]:
    """The ensemble (`blend`) and its members (`members/NAME`) in MLflow's own format, in folders that go afterwards.

    What cannot be saved in that way, a model of a user's own class for example, is not among them, and the log says so.
    """
    with scratch_folder("eraflow-saved-") as scratch:
        try:
            told = run_isolated(  # the boosters' libraries are not to stay in the memory of the flow
                "models.delivery.pyfuncmodel:write_saved_models",
                {"ensemble": str(ensemble), "out": str(scratch / "saved")},
                memory_mb=None,
                timeout_s=SAVING_SECONDS,
                log=run_log().debug,
                folder=scratch / "work",
            ).value
        except EraflowError as error:
            run_log().warning("the models are recorded as plain files, which MLflow cannot load: %s", error)
            told = {"members": [], "ensemble": False, "left_out": {}}
        for name, why in told["left_out"].items():
            run_log().info("%s, and with it the ensemble, is recorded as plain files: %s", name, why)
        found = {f"members/{name}": scratch / "saved" / "members" / name for name in told["members"]}
        yield found | ({BLEND: scratch / "saved" / "ensemble"} if told["ensemble"] else {})


def _worth_figures(worth: Mapping[str, Any] | None, name: str) -> dict[str, float | None]:
    """What a member adds to the blend, in each metric, with its bounds."""
    metrics = {} if worth is None else worth["members"].get(name, {})
    ends = {"": "difference", "_low": "low", "_high": "high"}
    return {
        f"worth_{metric}{end}": found[key]
        for metric, found in metrics.items()
        for end, key in ends.items()
        if found[key] is not None
    }


def _log_curves(logged: TrackedRun, record: StageRecord) -> None:
    """How the networks of a member learnt, over their updates; the pictures of that, and of their graph."""
    for curve in read_curves(record.path):
        name = f"learning/{curve.fit.replace(' ', '-')}" + ("" if curve.network == 1 else f"-network-{curve.network}")
        logged.log_steps(f"{name}/loss", list(zip(curve.updates, curve.losses, strict=True)))
        logged.log_steps(f"{name}/corr", list(zip(curve.updates, curve.corrs, strict=True)))
    logged.log_files([path for name in (CURVES, PICTURE) if (path := record.path / name).exists()])


def _log_stage(logged: TrackedRun, record: StageRecord, scores: ModelScores, model_id: str | None) -> None:
    figures: dict[str, float | None] = {"minutes": record.seconds / 60, "attempts": record.attempts}
    if record.peak_mb is not None:
        figures["peak_mb"] = record.peak_mb
    for metric, summary in scores.summary.items():
        figures |= {
            HEADLINES.get(metric, metric): summary.mean,
            f"{metric}_sharpe": summary.sharpe,
            f"{metric}_eras": summary.eras,
        }
        figures |= {f"{metric}_low": summary.low, f"{metric}_high": summary.high}
        eras, values = scores.per_era[metric]
        logged.log_per_era(metric, eras, values)
    logged.log_metrics(figures, model_id)


def log_drift(run: Run, tracked: str | None, found: Mapping[str, Any]) -> None:
    """What was found about the live era, beside the ensemble's other figures; a store that fails costs nothing else."""
    if tracked is None:
        return
    figures = {
        "live_max_exposure": found["exposure"]["max"],
        "previous_week_corr": found["previous_corr"],
        "features_unlike_before": float(found["unlike"]),
    }
    try:
        TrackedRun(tracker(run).link, tracked).log_metrics(figures)
    except EraflowError as error:
        run_log().error("%s", error)


@task(name="register", task_run_name="register", **LIGHT_TASK)
def register(
    run: Run,
    blended: StageRecord,
    backtested: StageRecord,
    tracked: str | None,
    verdict: Verdict,
    round_now: Round,
    slot: Slot,
) -> int | None:
    """Make the shipped ensemble the champion of its source, slot and target; returns its version."""
    if tracked is None:
        if run.settings.tracking.enabled:
            get_run_logger().error(LATER, run.path)
        else:
            get_run_logger().warning("tracking is off, so this ensemble is not registered as champion")
        return None
    try:
        with timed(run.path, "register"):
            judged = run.path / "gate" / "verdict.json"
            return ship(run, blended, backtested, tracked, verdict, judged, round_now.number, slot)
    except EraflowError as error:
        get_run_logger().error("%s", error)
        get_run_logger().error(LATER, run.path)
        return None


def ship(
    run: Run,
    blended: StageRecord,
    backtested: StageRecord,
    tracked: str,
    verdict: Verdict,
    verdict_file: Path,
    round_number: int,
    slot: Slot,
    *,
    becomes_champion: bool = True,
) -> int:
    """Register the ensemble that was sent; returns its version.

    Args:
        run, blended, backtested: what was sent.
        tracked: the ensemble's MLflow run.
        verdict, verdict_file: what allowed it.
        round_number, slot: where it went.
        becomes_champion: False: it is a version and no more.

    Raises:
        TrackingError: MLflow cannot be written; the champion is then the one before.
    """
    version = register_champion(
        tracker(run),
        blended.path / "ensemble",
        tracked,
        {
            "signature": verdict.ensemble_signature,
            "round": str(round_number),
            "run_dir": str(run.path),
            **identity_tags(run.path),
        },
        seat=seat_of(run, slot),
        scores=backtested.path / SCORES,
        verdict=verdict_file,
        oof=blended.path / "oof.parquet",
        becomes_champion=becomes_champion,
    )
    if becomes_champion:
        run_log().info("champion of %s is now version %s", seat_of(run, slot), version.number)
    return int(version.number)
