"""Fetch the live scores of what was sent before, and write down what was promised of what is sent now."""

from __future__ import annotations

from prefect import task

from eraflow.data.eras import target_horizon
from eraflow.errors import EraflowError
from eraflow.livescores.alarms import alarm_text, new_alarms, note_alarm
from eraflow.livescores.livetracking import log_live_scores
from eraflow.livescores.promise import keep_promise, promise_of, promises
from eraflow.livescores.store import SlotScores, rounds_to_ask, slot_scores
from eraflow.livescores.table import live_lines
from eraflow.livescores.watch import scored_rounds, standing
from eraflow.numerai.client import Slot, Tournament
from eraflow.scoring.backtest import BLEND, SCORES, read_scores
from eraflow.scoring.scoring import ModelScores
from eraflow.settings.run import RunSettings
from eraflow.tracking.registry import champion_info
from tasks.alert import tell_people
from tasks.gate import JudgedEnsemble
from tasks.pages.livepage import show_live
from tasks.register import seat_of, tracker
from tasks.run import Run
from tasks.runlog import run_log
from tasks.stage import LIGHT_TASK
from tasks.submit import Submission
from tasks.tournament import open_tournament, source_key

MARGIN = 40
"""Rounds that are asked for beside those that are still open: eight weeks of five."""


@task(name="live-scores", task_run_name="live-scores", **LIGHT_TASK)
def fetch_live_scores(run: Run, tournament: Tournament, slot: Slot) -> int:
    """Keep what the tournament tells of past submissions, of this slot and those of further ensembles.

    Returns how many values are new or revised.

    A failure costs nobody the week: it is an error in the log, and the next run fetches what is lacking.
    """
    if not slot.id:  # a dry run without keys
        return 0
    fresh = 0
    for name in (slot.name, *(each.slot for each in run.settings.ensembles if each.slot is not None)):
        try:
            each = slot if name == slot.name else tournament.slot(name)
            fresh += fetched(run, tournament, each)
            watch_scores(run, each)
            track_scores(run, each)
        except Exception as error:  # noqa: BLE001 - a damaged file has its library's errors, and none may cost the week
            run_log().error("the live scores of %s are not up to date: %s", name, error)
    return fresh


def fetched(run: Run, tournament: Tournament, slot: Slot) -> int:
    """The same, where a failure is the caller's to tell.

    Raises:
        TournamentError: the tournament did not tell them.
        StorageError: the home cannot be written.
    """
    kept = scores_of(run, slot)
    told, odd = tournament.live_scores(slot.id, rounds_to_ask(kept.newest(), MARGIN))
    if odd:
        run_log().warning("%s rows of the live scores of %s cannot be read and are left out", odd, slot.name)
    fresh = kept.add(told, tournament.now()) if told else 0
    run_log().info("live scores of %s: %s values are new or revised", slot.name, fresh)
    return fresh


def watch_scores(run: Run, slot: Slot) -> None:
    """Compare the live scores with what was promised; say once a year of rounds that they are lower than it allows."""
    kept = scores_of(run, slot)
    promised = promises(kept.folder)
    years = [standing(each) for each in scored_rounds(kept.newest(), promised)]
    for raised in new_alarms(kept.folder, years):
        text = alarm_text(raised, slot.name)
        run_log().warning("%s", text)
        tell_people(run, f"Eraflow: live scores of {slot.name} are lower than promised", text)
        note_alarm(kept.folder, raised)
    show_live(slot.name, live_lines(kept, promised), years)


def track_scores(run: Run, slot: Slot) -> None:
    """Log the newest scores in MLflow; a store that cannot be written is an error in the log."""
    kept = scores_of(run, slot)
    lines = live_lines(kept)
    if not lines or not run.settings.tracking.enabled:
        return
    try:
        log_live_scores(tracker(run), kept.folder, slot.name, lines)
    except EraflowError as error:
        run_log().error("the live scores are not in MLflow: %s", error)


def note_promise(run: Run, slot: Slot, shipped: JudgedEnsemble, sent: Submission) -> None:
    """Write down what the backtest of exactly this ensemble promises of what was sent; nothing of a dry run."""
    if sent.state is None:
        return
    try:
        scores = _backtested(run, slot, shipped)
        if scores is None:
            run_log().warning("no backtest of the ensemble that was sent is at hand: nothing is promised of it")
            return
        target = run.settings.data.target
        promise = promise_of(
            scores,
            submission=sent.state.id,
            round_number=sent.round_number,
            signature=shipped.signature,
            run=run.path.name,
            target=target,
            horizon_days=target_horizon(target, run.settings.data.alias_horizon),
            multipliers=sent.state.multipliers,
        )
        keep_promise(scores_of(run, slot).folder, promise)
    except (EraflowError, OSError, KeyError) as error:
        run_log().error("what was promised of the submission is not written down: %s", error)


def scores_of(run: Run, slot: Slot) -> SlotScores:
    """Where the live scores of a slot are kept."""
    return slot_scores(run.settings.home_path, source_key(run.settings), slot.id, slot.name)


def _backtested(run: Run, slot: Slot, shipped: JudgedEnsemble) -> ModelScores | None:
    """The backtest of the ensemble that was sent: this run's own, else that of the champion that it is."""
    judged = run.path / "backtest"
    if shipped.ensemble.parent == run.path / BLEND and (judged / SCORES).exists():
        return read_scores(judged)[BLEND]
    if not run.settings.tracking.enabled:
        return None
    champion = champion_info(tracker(run), seat_of(run, slot))
    if champion is None or champion.scores is None or champion.signature != shipped.signature:
        return None
    return ModelScores.from_dict(champion.scores[BLEND])


def fetch_all_slots(settings: RunSettings) -> int:
    """Fetch the scores of every model slot of the account, outside of any flow; how many values are new or revised.

    Raises:
        MissingKeysError, TournamentError, StorageError: they could not be fetched, or not be kept.
    """
    run = Run(settings, settings.home_path)
    with open_tournament(run) as tournament:
        return sum(fetched(run, tournament, Slot(known, name)) for name, known in tournament.models().items())
