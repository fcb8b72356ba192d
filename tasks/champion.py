"""The champion: the ensemble last shipped, which this week's must not be worse than, and which may stand in for it."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import get_run_logger, task

from eraflow.errors import EraflowError
from eraflow.store.registry import champion_info, load_champion
from eraflow.store.tracking import TrackingError
from eraflow.tournament.backtest import BLEND, read_scores
from eraflow.tournament.client import Round
from eraflow.tournament.scoring import ModelScores
from eraflow.tournament.verdict import Verdict, read_verdict
from tasks.features import Features
from tasks.gate import Shipment
from tasks.run import Run
from tasks.stage import LIGHT_TASK
from tasks.register import tracker


class NoChampionError(EraflowError):
    """Nothing has been shipped yet, so there is no champion to predict with. Run a week first."""

    code = "no_champion"


@task(name="champion-scores", **LIGHT_TASK)
def champion_scores(run: Run, features: Features) -> ModelScores | None:
    """The champion's out-of-fold scores, when it was trained for the same target; None before the first shipment."""
    if not run.settings.tracking.enabled:
        return None
    champion = champion_info(tracker(run))
    if champion is None or champion.tags.get("target") != features.contract.target:
        return None
    get_run_logger().info("this week is compared with champion version %s", champion.version)
    return champion.scores


@task(name="fetch-champion", **LIGHT_TASK)
def fetch_champion(run: Run, round_now: Round) -> Shipment:
    """The champion's verified files in `RUN_DIR/champion`, with its own verdict carried over to this round.

    Raises:
        NoChampionError: nothing has been shipped yet, or tracking is off.
    """
    folder = load_champion(tracker(run), run.path / "champion") if run.settings.tracking.enabled else None
    if folder is None:
        raise NoChampionError("no ensemble is registered as champion", "run `eraflow run` until a week ships one")
    return folder
