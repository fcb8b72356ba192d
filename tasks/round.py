"""Wait for the round to open."""

from __future__ import annotations

from prefect import get_run_logger, task

from eraflow.numerai.client import Tournament
from eraflow.numerai.rounds import Round
from eraflow.runs.outcome import note_round
from tasks.endofrun import name_run
from tasks.roundcheck import compare_round
from tasks.run import RUNNING, Run
from tasks.stage import LIGHT_TASK


@task(name="wait-for-round", task_run_name="wait-for-round", **LIGHT_TASK)
def wait_for_round(run: Run, tournament: Tournament) -> Round:
    """The open round. Opening times drift, so it is polled until the deadline of the settings."""
    waiting = run.settings.round
    found = tournament.wait_for_round(waiting.wait_minutes * 60, waiting.poll_seconds)
    note_round(run.path, found.number)
    name_run(run.path, RUNNING)
    get_run_logger().info(
        "round %s is open until %s; multipliers %s, cut at %s",
        found.number,
        found.close_time,
        found.multipliers,
        found.payout_clip,
    )
    compare_round(run, tournament, found)
    return found
