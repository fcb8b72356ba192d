"""What a held or dry run has predicted, sent later: judged anew, then sent by the same steps as in its own week."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.errors import EraflowError
from eraflow.gate.gate import GateBlockedError, check_may_submit
from eraflow.gate.storedweek import StoredWeek
from eraflow.gate.verdict import Verdict
from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.errors import RoundClosedError, TournamentError, knows_what_is_filed
from eraflow.numerai.rounds import Round
from eraflow.numerai.sendlock import only_sender
from eraflow.numerai.submission_state import kept_in_words
from eraflow.runs.conclusion import SENT_LATER, unconfirmed_submission
from eraflow.runs.identity import identity
from eraflow.runs.weekrecord import SENT
from eraflow.scoring.backtest import BLEND
from eraflow.scoring.scoring import ModelScores
from eraflow.tracking.registry import champion_info
from tasks.gate import JudgedEnsemble
from tasks.livescores import note_promise
from tasks.register import known_slot, seat_of, ship, tracker
from tasks.run import Run
from tasks.runlog import run_log
from tasks.submit import Submission, may_be_replaced
from tasks.tournament import destination, open_tournament


def allowing_verdict(run: Run, week: StoredWeek) -> Verdict:
    """The verdict by the settings as they are now, from stored scores.

    Raises:
        GateBlockedError, StaleVerdictError, WrongEnsembleError: it does not allow to send.
    """
    now = datetime.now(UTC)
    verdict = week.verdict(_champion_scores(run, week), now)
    try:
        check_may_submit(verdict, week.signature, week.round_number, now, run.settings.gate)
    except GateBlockedError as error:
        remedy = "nothing was sent; other thresholds are given as --set gate.NAME=VALUE, and null switches a rule off"
        raise GateBlockedError(error.problem, remedy) from None
    return verdict


def _champion_scores(run: Run, week: StoredWeek) -> ModelScores | None:
    """Those of the champion of the week's slot; as in the week itself, none where they cannot be read."""
    if not run.settings.tracking.enabled or run.settings.gate.champion_confidence is None:
        return None
    slot = Slot(week.slot_id, "") if week.slot_id else known_slot(run)  # a dry run without keys knows no slot
    try:
        champion = champion_info(tracker(run), seat_of(run, slot))
        usable = champion is not None and champion.scores is not None and champion.signature != week.signature
        return ModelScores.from_dict(champion.scores[BLEND]) if usable and champion and champion.scores else None
    except (EraflowError, KeyError) as error:
        run_log().error("the champion cannot be read, so the comparison with it is not judged: %s", error)
        return None


def send_later(run: Run, week: StoredWeek, verdict: Verdict) -> Submission:
    """Send it as long as its round is open; everything that is written lies in `RUN_DIR/sent`.

    Raises:
        RoundClosedError: the round is over, or another one is open.
        TournamentError: as in the week itself.
    """
    with open_tournament(run) as tournament:
        slot = tournament.slot(run.settings.submit.model)
        round_now = _same_round(tournament, week)
        submission = Submission(week.record, week.signature, week.round_number, slot.id)
        with only_sender(run.settings.home_path, destination(run.settings), slot.id, round_now.number, run_log().info):
            submission = _send(run, tournament, submission, verdict)
    if submission.state is not None:
        if week.blended is not None:
            judged = JudgedEnsemble(run.path / BLEND / "ensemble", week.signature, verdict)
            note_promise(run, slot, judged, submission)
        _register(run, week, verdict, slot)
    return submission


def _same_round(tournament: Tournament, week: StoredWeek) -> Round:
    found = tournament.current_round()
    if found is None or found.number != week.round_number or not found.is_open:
        now = "no round is open" if found is None or not found.is_open else f"round {found.number} is open"
        raise RoundClosedError(
            f"the predictions of {week.path} are for round {week.round_number}, and {now}",
            "`eraflow run` or `eraflow daily` predicts the live data of the open round; nothing was sent",
        )
    return found


def _send(run: Run, tournament: Tournament, submission: Submission, verdict: Verdict) -> Submission:
    """As in the week: what is written says `sending` for as long as the upload may have arrived."""
    folder = run.path / SENT
    earlier = unconfirmed_submission(run.path, SENT_LATER)
    write_json(folder / "verdict.json", verdict.as_dict())
    write_json(folder / "record.json", replace(submission, sending=True).as_dict())
    asked = run.settings.submit
    try:
        state = tournament.submit(
            run.path / "submission" / "submission.csv",
            submission.model_id,
            submission.round_number,
            asked.confirm_minutes * 60,
            replace=may_be_replaced(run.settings, submission.model_id, submission.round_number),
            name=str(identity(run.path)["name"]),
        )
    except Exception as error:
        if earlier is not None and not knows_what_is_filed(error):
            write_json(folder / "record.json", earlier)
        elif not (isinstance(error, TournamentError) and error.may_have_arrived):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    submission = replace(submission, state=state) if state.ours else replace(submission, kept=state)
    if not state.ours:
        run_log().warning("nothing was sent: %s", kept_in_words(state, submission.round_number))
    write_json(folder / "record.json", submission.as_dict())
    return submission


def _register(run: Run, week: StoredWeek, verdict: Verdict, slot: Slot) -> None:
    """The ensemble that was sent is the champion now; one that was the champion already stays it."""
    if week.blended is None or week.backtested is None or not run.settings.tracking.enabled:
        return
    try:
        made = value_sha256([week.blended.signature, week.backtested.signature])
        tracked = tracker(run).finished_run("ensemble", made)
        if tracked is None:
            run_log().warning("the week is not recorded in MLflow, so its ensemble is not registered as champion")
            return
        verdict_file = run.path / SENT / "verdict.json"
        ship(run, week.blended, week.backtested, tracked, verdict, verdict_file, week.round_number, slot)
    except EraflowError as error:
        run_log().error("%s", error)
