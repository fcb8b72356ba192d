"""The champion: the ensemble last shipped, which this week's must not be worse than, and which may stand in for it."""

from __future__ import annotations

from prefect import get_run_logger, task

from eraflow.errors import EraflowError
from eraflow.store.registry import champion_info, load_champion
from eraflow.tournament.backtest import BLEND
from eraflow.tournament.client import Round
from eraflow.tournament.scoring import ModelScores
from eraflow.tournament.verdict import Verdict
from tasks.features import Features
from tasks.gate import Shipment
from tasks.register import tracker
from tasks.run import Run
from tasks.stage import LIGHT_TASK


class NoChampionError(EraflowError):
    """Nothing has been shipped yet, so there is no champion to predict with. Run a week first."""

    code = "no_champion"


@task(name="champion-scores", task_run_name="champion-scores", **LIGHT_TASK)
def champion_scores(run: Run, features: Features) -> ModelScores | None:
    """The champion's out-of-fold scores, when it was made for the same target; None before the first shipment."""
    if not run.settings.tracking.enabled:
        return None
    champion = champion_info(tracker(run))
    if champion is None or champion.scores is None or champion.target != features.contract.target:
        return None
    get_run_logger().info("this week is compared with champion version %s", champion.version)
    return ModelScores.from_dict(champion.scores[BLEND])


@task(name="fetch-champion", task_run_name="fetch-champion", **LIGHT_TASK)
def fetch_champion(run: Run, round_now: Round) -> Shipment:
    """The champion's verified files in `RUN_DIR/champion`, with its own verdict carried over to this round.

    Raises:
        NoChampionError: nothing has been shipped yet, or tracking is off.
    """
    book = tracker(run) if run.settings.tracking.enabled else None
    champion = champion_info(book) if book else None
    folder = load_champion(book, run.path / "champion" / "ensemble") if book else None
    if champion is None or folder is None or champion.verdict is None:
        raise NoChampionError("no ensemble is registered as champion", "run `eraflow run` until a week ships one")
    get_run_logger().info("champion version %s, shipped for round %s", champion.version, champion.round_number)
    verdict = Verdict.from_dict(champion.verdict).carried_to(round_now.number)
    return Shipment(folder, champion.signature, verdict)
