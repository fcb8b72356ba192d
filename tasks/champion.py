"""The champion: the ensemble last shipped, which this week's must not be worse than, and which may stand in for it.

A champion belongs to source, slot and target: one that a sandbox shipped is never compared with, nor sent to, Numerai;
and two slots or targets never take each other's.
"""

from __future__ import annotations

from prefect import get_run_logger, task

from eraflow.errors import EraflowError
from eraflow.gate.championage import REFIT, champion_age
from eraflow.gate.gate import check_may_submit
from eraflow.gate.verdict import Verdict
from eraflow.numerai.client import Slot
from eraflow.numerai.rounds import Round
from eraflow.runs.outcome import now_there
from eraflow.scoring.backtest import BLEND
from eraflow.scoring.scoring import ModelScores
from eraflow.tracking.registry import Champion, champion_info, load_champion, seats
from models.ensembles.ensemble import read_ensemble
from tasks.alert import tell_people
from tasks.features import Features
from tasks.gate import JudgedEnsemble
from tasks.register import seat_of, tracker
from tasks.run import Run
from tasks.stage import LIGHT_TASK


class NoChampionError(EraflowError):
    """There is no champion for this source, slot and target. Run a week first."""

    code = "no_champion"


@task(name="champion-scores", task_run_name="champion-scores", **LIGHT_TASK)
def champion_scores(run: Run, features: Features, slot: Slot) -> ModelScores | None:
    """The champion's out-of-fold scores, when there is one of the same source, slot and target.

    A champion that cannot be read is an error in the log and a rule that is not judged; it does not cost the week,
    whose own ensemble will take its place.
    """
    try:
        champion = _champion(run, slot)
        if champion is None or champion.scores is None or champion.target != features.contract.target:
            return None
        scores = ModelScores.from_dict(champion.scores[BLEND])
    except (EraflowError, KeyError) as error:
        get_run_logger().error("the champion cannot be read, so the comparison with it is not judged: %s", error)
        return None
    get_run_logger().info("this week is compared with champion version %s", champion.version)
    return scores


@task(name="fetch-champion", task_run_name="fetch-champion", **LIGHT_TASK)
def fetch_champion(run: Run, round_now: Round, slot: Slot) -> JudgedEnsemble:
    """The champion's verified files in `RUN_DIR/champion`, with its own verdict carried over to this round.

    Raises:
        NoChampionError: nothing has been shipped yet for this source, slot and target, or tracking is off.
        ChampionDamagedError: its files are not those that were shipped.
        StaleVerdictError: it was judged longer ago than the settings allow.
    """
    champion, seat = _champion(run, slot), seat_of(run, slot)
    folder = load_champion(tracker(run), run.path / "champion" / "ensemble", seat) if champion else None
    if champion is None or folder is None or champion.verdict is None:
        raise NoChampionError(
            f"no ensemble is registered as champion for {seat}; {_there_are(run)}",
            "run `eraflow run` with this source, slot and target until a week ships one, or name another one with "
            "--set submit.model=... or --target",
        )
    if read_ensemble(folder)["signature"] != champion.signature:
        raise NoChampionError("the champion changed while it was read", "run again")
    get_run_logger().info("champion version %s, shipped for round %s", champion.version, champion.round_number)
    verdict = Verdict.from_dict(champion.verdict).carried_to(round_now.number)
    # Asked again at the upload; here so that a champion that is too old is told of before anything is fetched.
    check_may_submit(verdict, champion.signature, round_now.number, now_there(run.path), run.settings.gate)
    _tell_of_age(run, verdict, slot)
    return JudgedEnsemble(folder, champion.signature, verdict)


def _tell_of_age(run: Run, verdict: Verdict, slot: Slot) -> None:
    """A champion that is soon too old is told of while there is time to refit it, not on the day."""
    age = champion_age(verdict, now_there(run.path), run.settings.gate)
    if age.soon:
        get_run_logger().warning("the champion of slot %s: %s; %s", slot.name or slot.id, age.words, REFIT)
        subject = f"Eraflow: the champion of slot {slot.name or slot.id} is soon too old"
        tell_people(run, subject, f"{age.words}; {REFIT}")


def stand_in(run: Run, round_now: Round, slot: Slot) -> tuple[JudgedEnsemble | None, str]:
    """The champion for a week whose own ensemble was blocked, or None and the reason why it cannot stand in."""
    state = fetch_champion(run, round_now, slot, return_state=True)
    if state.is_completed():
        return state.result(), ""
    return None, str(state.result(raise_on_failure=False))


def _champion(run: Run, slot: Slot) -> Champion | None:
    return champion_info(tracker(run), seat_of(run, slot)) if run.settings.tracking.enabled else None


def _there_are(run: Run) -> str:
    """The champions that exist, for people."""
    if not run.settings.tracking.enabled:
        return "tracking is off"
    found = [
        f"{seat} (version {number}{f', round {round_number}' if round_number else ''})"
        for seat, number, round_number in seats(tracker(run))
    ]
    return f"there are: {'; '.join(found[-5:])}" if found else "there is none at all yet"
