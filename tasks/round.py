"""The round that a run works for: the one that is open or opens next, and the wait until it is open."""

from __future__ import annotations

from prefect import get_run_logger, task

from eraflow.numerai.client import Tournament
from eraflow.numerai.rounds import Round
from eraflow.runs.outcome import note_round
from tasks.endofrun import name_run
from tasks.roundcheck import compare_round
from tasks.run import RUNNING, Run
from tasks.stage import LIGHT_TASK


@task(name="round-ahead", task_run_name="round-ahead", **LIGHT_TASK)
def round_ahead(run: Run, tournament: Tournament) -> Round:
    """The open round, or the one that opens next: what needs no live file is done before it opens.

    Where the API names none ahead, the next opening is waited for.
    """
    current = tournament.current_round()
    found = current if current is not None and current.is_open else tournament.coming_round() or current
    if found is None:
        get_run_logger().info("the API names no round that comes; the run goes on when one is open")
        return wait_for_round(run, tournament)
    note_round(run.path, found.number, tournament.clock_offset())
    name_run(run.path, RUNNING)
    if not found.is_open:
        get_run_logger().info(
            "no round is open; round %s opens at %s, and what needs no live file is done until then",
            found.number,
            found.open_time,
        )
        compare_round(run, tournament, found)
    return found


@task(name="wait-for-round", task_run_name="wait-for-round", **LIGHT_TASK)
def wait_for_round(run: Run, tournament: Tournament) -> Round:
    """The open round. Opening times drift, so it is polled until the deadline of the settings."""
    waiting = run.settings.round
    found = tournament.wait_for_round(waiting.wait_minutes * 60, waiting.poll_seconds)
    note_round(run.path, found.number, tournament.clock_offset())
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
