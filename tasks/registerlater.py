"""What a week could not register, because the store of the models was not there, registered from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.gate.verdict import read_verdict
from eraflow.numerai.client import Slot
from eraflow.runs.conclusion import SENT_LATER, accepted_submission, conclusion
from eraflow.runs.continuation import stored_settings
from eraflow.runs.rundir import locked
from eraflow.runs.stage import require
from eraflow.tracking.registry import champion_info
from tasks.register import known_slot, recorded_run, seat_of, ship, tracker
from tasks.run import Run
from tasks.runlog import run_log


class NothingToRegisterError(EraflowError):
    """The folder holds no ensemble that could be registered. Name the folder of a weekly run that has ended."""

    code = "nothing_to_register"
    exit_code = 2


def register_later(run_dir: Path) -> tuple[int, bool]:
    """Record the week in MLflow and register its own ensemble, each where that is not done yet.

    It becomes the champion as it would have in its week: where its prediction was accepted, and no later round has
    shipped another. Everything else is a version and no more.

    Returns:
        The version, and whether it is the champion now.

    Raises:
        NothingToRegisterError: the folder holds no such run.
        TrackingError: MLflow or the store cannot be written; what is done by then is found again.
    """
    settings = stored_settings(run_dir)
    if settings is None or conclusion(run_dir) is None or not (run_dir / "backtest").is_dir():
        raise NothingToRegisterError(
            f"{run_dir} holds no week that has ended with a backtest",
            "name the folder of one; an unfinished run goes on with `eraflow run --resume --run-dir`",
        )
    run = Run(settings, run_dir)
    with locked(run_dir):
        blended, backtested = require(run_dir / "blend"), require(run_dir / "backtest")
        verdict_file = run_dir / "gate" / "verdict.json"
        sent = accepted_submission(run_dir) or {}
        own = sent.get("ensemble_signature") == blended.metrics["ensemble_signature"]
        if own and read_object(run_dir / SENT_LATER) is not None:
            verdict_file = run_dir / "sent" / "verdict.json"
        verdict = read_verdict(verdict_file)
        slot = _slot(run, sent)
        is_champion = own and verdict.passed and _is_newest(run, slot, verdict.round_number)
        tracked = recorded_run(run, blended, backtested)
        version = ship(
            run,
            blended,
            backtested,
            tracked,
            verdict,
            verdict_file,
            verdict.round_number,
            slot,
            becomes_champion=is_champion,
        )
    return version, is_champion


def _slot(run: Run, sent: dict[str, Any]) -> Slot:
    identity = str(sent.get("model_id") or "")
    return Slot(identity, run.settings.submit.model or "") if identity else known_slot(run)


def _is_newest(run: Run, slot: Slot, round_number: int) -> bool:
    """Whether the champion of the slot is of no later round."""
    champion = champion_info(tracker(run), seat_of(run, slot))
    newest = champion is None or champion.round_number is None or champion.round_number <= round_number
    if not newest and champion is not None:
        run_log().info("the champion was shipped for round %s, which is later", champion.round_number)
    return newest
