"""Further ensembles of a week: each is blended of the trained members, judged, and sent to a slot of its own.

Each has a folder within the run's in which the tasks of the week work as in a run that made this ensemble alone. One
that fails or is held costs itself: the others, and the week's own, go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State

from eraflow.disk.atomic import write_json
from eraflow.errors import EraflowError
from eraflow.gate.verdict import Verdict
from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.rounds import Round
from eraflow.reports.ensembletables import pair_rows
from eraflow.runs.conclusion import conclusion
from eraflow.runs.ensemblefolders import (
    begin_ensemble,
    copy_notes,
    ensemble_folder,
    link_stages,
    week_of,
)
from eraflow.runs.outcome import note_round
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import CORRELATIONS, ENSEMBLES, forget_last_outcome, note_stage, write_outcome
from eraflow.scoring.payout import Payout
from eraflow.scoring.predictioncorrelation import pair_correlations
from eraflow.scoring.statistics import overlap_weeks
from eraflow.settings.ensembles import MAIN, EnsembleSettings
from eraflow.settings.run import RunSettings
from tasks.alert import tell_people
from tasks.backtest import backtest
from tasks.blend import blend, chosen_neutralisation
from tasks.champion import champion_scores, fetch_champion, stand_in
from tasks.deliver import deliver
from tasks.features import Features
from tasks.followmodel import follow_model
from tasks.gate import JudgedEnsemble, decide, held, ours
from tasks.insurance import send_where_nothing_is_filed
from tasks.pages.artifacts import pages_of, show_correlations
from tasks.predict import predict_live
from tasks.refresh import Data
from tasks.register import register, track
from tasks.run import Run, conclude
from tasks.runlog import run_log
from tasks.submit import find_model, keep_for_later


class NoMembersLeftError(EraflowError):
    """None of the members that an ensemble is made of was trained. The week goes on without this ensemble."""

    code = "no_members_left"


@dataclass(frozen=True)
class FurtherEnsemble:
    """An ensemble beside the week's own.

    Attributes:
        asked: what the settings say of it.
        run: the settings that make it alone, and its folder.
        slot: where it goes; None where it is not sent.
    """

    asked: EnsembleSettings
    run: Run
    slot: Slot | None


@dataclass(frozen=True)
class MadeEnsemble:
    """A further ensemble, blended and backtested."""

    ensemble: FurtherEnsemble
    members: tuple[StageRecord, ...]
    blended: StageRecord
    backtested: StageRecord


def begin_ensembles(run: Run, tournament: Tournament, *, trains: bool = True) -> list[FurtherEnsemble]:
    """The further ensembles of the settings, with their slots: a wrong one is found out before any work.

    Args:
        run, tournament: of the week or the round.
        trains: whether they are made; else those alone count that have a slot.

    Raises:
        TournamentError: as `find_model`, for any of the slots.
    """
    found = []
    for asked in run.settings.ensembles:
        if asked.slot is None and not trains:
            continue
        folder = ensemble_folder(run.path, asked.name)
        own = Run(settings_of(run.settings, asked).model_copy(update={"run_dir": str(folder)}), folder)
        begin_ensemble(run.path, asked.name, own.settings.model_dump_json(indent=2) + "\n", asked.slot)
        found.append(FurtherEnsemble(asked, own, find_model(own, tournament) if asked.slot is not None else None))
        if conclusion(folder) is None:
            forget_last_outcome(folder)
    return found


def settings_of(settings: RunSettings, asked: EnsembleSettings) -> RunSettings:
    """The settings of a run that makes this ensemble alone."""
    blended = asked.blend(settings.blend)
    kept = [model for model in settings.models if not blended.models or model.name in blended.models]
    names = [model.name for model in kept or settings.models]
    changed = {
        "models": kept or settings.models,
        "blend": blended.model_copy(update={"models": [name for name in blended.models if name in names]}),
        "ensembles": [],
        "submit": settings.submit.model_copy(update={"model": asked.slot}),
        "selection": settings.selection.model_copy(
            update={"models": [name for name in settings.selection.models if name in names]}
        ),
        "search": settings.search.model_copy(
            update={"models": [name for name in settings.search.models if name in names]}
        ),
    }
    return settings.model_copy(update=changed)


def check_ensembles(ensembles: Sequence[FurtherEnsemble], data: Data) -> None:
    """What training must not be spent on before it is found out.

    Raises:
        SettingsError: as `chosen_neutralisation`.
    """
    for each in ensembles:
        chosen_neutralisation(each.run, data)


def make_ensembles(
    ensembles: Sequence[FurtherEnsemble],
    data: Data,
    features: Features,
    members: Sequence[StageRecord],
    payout: Payout,
) -> list[MadeEnsemble]:
    """Blend and backtest each of the trained members."""
    made: list[MadeEnsemble] = []
    for each in ensembles:
        with costs_itself(each):
            made.append(_made(each, data, features, members, payout))
    return made


def _made(
    each: FurtherEnsemble, data: Data, features: Features, members: Sequence[StageRecord], payout: Payout
) -> MadeEnsemble:
    run = each.run
    copy_notes(week_of(run.path), run.path)
    own = link_stages(run.path, members_of(run.settings, members))
    for record in own:
        note_stage(run.path, record.name)
    neutralisation = chosen_neutralisation(run, data)
    blended = blend(run, features, own, neutralisation, payout)
    backtested = backtest(run, data, features, own, blended, neutralisation, payout)
    return MadeEnsemble(each, tuple(own), blended, backtested)


def members_of(settings: RunSettings, members: Sequence[StageRecord]) -> list[StageRecord]:
    """Those of the trained members that an ensemble of these settings is made of.

    Raises:
        NoMembersLeftError: there is none.
    """
    wanted = {f"train-{name}" for name in settings.blended_models}
    found = [record for record in members if record.name in wanted]
    if not found:
        raise NoMembersLeftError(
            f"an ensemble is made of {', '.join(settings.blended_models) or 'nobody'}, and none of these was trained",
            "see why the members were lost; the next week makes it again",
        )
    return found


def send_ensembles(
    run: Run,
    made: Sequence[MadeEnsemble],
    features: Features,
    blended: StageRecord,
    verdict: Verdict,
    tournament: Tournament,
    round_now: Round,
    live: Path,
    leaks: StageRecord | None,
) -> None:
    """A verdict on each, and what it allows sent to its slot; a folder that has ended already is left as it is.

    Args:
        run, features, blended, verdict: of the week, and its own ensemble.
        made: the further ones.
        tournament, round_now, live: where they go, and what they predict.
        leaks: the stage that looked for them in the week's data; None where none did.
    """
    for one in made:
        each = one.ensemble
        ended = conclusion(each.run.path)
        if ended is not None:
            run_log().info("ensemble %s has ended before (%s)", each.asked.name, ended)
            continue
        with costs_itself(each):
            _sent(one, features, tournament, round_now, live, leaks)
    if made:
        _compare(run, features, blended, made, _own_prediction(run, blended, verdict, live))


def _sent(
    one: MadeEnsemble,
    features: Features,
    tournament: Tournament,
    round_now: Round,
    live: Path,
    leaks: StageRecord | None,
) -> None:
    run, slot = one.ensemble.run, one.ensemble.slot
    copy_notes(week_of(run.path), run.path)
    note_round(run.path, round_now.number)
    if leaks is not None:
        link_stages(run.path, [leaks])
    tracked = track(run, features, [], one.blended, one.backtested)  # its members are recorded by the week
    before = None if slot is None else champion_scores(run, features, slot)
    verdict = decide(run, features, one.members, one.blended, one.backtested, before, round_now, leaks)
    shipped, why_not = ours(one.blended, verdict), ""
    if slot is None or one.ensemble.asked.challenges:  # beside the champion, whatever the verdict says
        judged = JudgedEnsemble(one.blended.path / "ensemble", verdict.ensemble_signature, verdict)
        predict_live(run, judged, live, "live")
    if slot is None:
        conclude(run)
        return
    if not verdict.passed and run.settings.gate.on_block == "champion":
        shipped, why_not = stand_in(run, round_now, slot)
    if shipped is None:
        signature = verdict.ensemble_signature
        predicted = keep_for_later(run, slot, round_now, one.blended.path / "ensemble", signature, live, verdict)
        _tell_held(one.ensemble, held(run, verdict, round_now, why_not, predicted=predicted))
        return
    sent = deliver(run, tournament, slot, round_now, shipped, live)
    if verdict.passed and sent.state is not None:
        register(run, one.blended, one.backtested, tracked, verdict, round_now, slot)
    conclude(run)


def _tell_held(each: FurtherEnsemble, state: State[Any]) -> None:
    told = state.message or "no reason is known"
    run_log().error("ensemble %s is held, slot %s is sent nothing: %s", each.asked.name, each.asked.slot, told)
    tell_people(each.run, f"Eraflow: the ensemble {each.asked.name} of slot {each.asked.slot} is held", told)


def send_champions(run: Run, tournament: Tournament, round_now: Round, live: Path | None) -> None:
    """Between two weeks: each further slot's champion predicts and is sent, or the model that it runs is followed.

    Args:
        run, tournament, round_now: of the round.
        live: the live file; None where the slots run uploaded models.
    """
    for each in begin_ensembles(run, tournament, trains=False):
        if each.slot is None or conclusion(each.run.path) is not None:
            continue
        with costs_itself(each):
            copy_notes(run.path, each.run.path)
            note_round(each.run.path, round_now.number, tournament.clock_offset())
            if live is None:
                follow_model(each.run, tournament, each.slot, round_now)
            else:
                champion = fetch_champion(each.run, round_now, each.slot)
                deliver(each.run, tournament, each.slot, round_now, champion, live)
            conclude(each.run)


def insure_ensembles(run: Run, tournament: Tournament, round_now: Round) -> None:
    """Shortly before a round closes: each further slot's champion is sent where nothing is filed."""
    for each in begin_ensembles(run, tournament, trains=False):
        if each.slot is None or conclusion(each.run.path) is not None:
            continue
        with costs_itself(each):
            copy_notes(run.path, each.run.path)
            note_round(each.run.path, round_now.number, tournament.clock_offset())
            send_where_nothing_is_filed(each.run, tournament, each.slot, round_now)
            conclude(each.run)


@contextmanager
def costs_itself(each: FurtherEnsemble) -> Iterator[None]:
    """An ensemble that fails is told of, and the week goes on; its pages are named after it."""
    try:
        with pages_of(each.asked.name):
            yield
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the other slots their round
        write_outcome(each.run.path, error)
        run_log().error("ensemble %s is lost, the week goes on without it: %s", each.asked.name, error)
        where = f"slot {each.asked.slot} is sent nothing" if each.asked.slot else "it has no slot"
        tell_people(
            each.run,
            f"Eraflow: the ensemble {each.asked.name} is lost, the week goes on without it",
            f"{where}: {error}\nrun folder {each.run.path}",
        )


def _own_prediction(run: Run, blended: StageRecord, verdict: Verdict, live: Path) -> Path | None:
    """The week's own live prediction, which its delivery finds finished; None where it is not what is sent."""
    settings = run.settings
    contested = any(each.challenges for each in settings.ensembles)
    if (settings.submit.sends_model and not contested) or (not verdict.passed and settings.gate.on_block == "champion"):
        return None
    try:
        judged = JudgedEnsemble(blended.path / "ensemble", verdict.ensemble_signature, verdict)
        return predict_live(run, judged, live, "live").path
    except EraflowError as error:  # the delivery meets it again, and names it
        run_log().warning("the slots cannot be compared in the live era: %s", error)
        return None


def _compare(
    run: Run, features: Features, blended: StageRecord, made: Sequence[MadeEnsemble], own_live: Path | None
) -> None:
    """How alike the ensembles' predictions are, out of fold and live; noted beside their folders and shown."""
    judged = {MAIN: blended.path, **{one.ensemble.asked.name: one.blended.path for one in made}}
    predicted = {one.ensemble.asked.name: one.ensemble.run.path / "predict-live" for one in made}
    if own_live is not None:
        predicted[MAIN] = own_live
    confidence = run.settings.gate.confidence
    pairs = pair_correlations(
        {name: path / "oof.parquet" for name, path in judged.items()},
        {name: file for name, path in predicted.items() if (file := path / "predictions.parquet").is_file()},
        overlap_weeks(features.contract.horizon_days),
        confidence,
    )
    told = {"confidence": confidence, "pairs": pairs}
    write_json(run.path / ENSEMBLES / CORRELATIONS, told)
    for line in pair_rows(told):
        run_log().info("correlation of %s: %s (%s) on %s eras, live %s", *line)
    show_correlations(told)
