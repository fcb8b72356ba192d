"""Say once when the round is not what the settings are made for. The run goes on: what it sends is still valid."""

from __future__ import annotations

import json

from prefect import get_run_logger

from eraflow.disk.atomic import write_json
from eraflow.numerai.client import Tournament
from eraflow.numerai.errors import TournamentError
from eraflow.numerai.roundcheck import differences
from eraflow.numerai.rounds import Round
from tasks.alert import tell_people
from tasks.run import Run

TOLD = "told-differences.json"
KEPT = 50


def compare_round(run: Run, tournament: Tournament, found: Round) -> list[str]:
    """A warning in each run that differs, and one message for each difference in the life of a home."""
    try:
        offered = tournament.list_files()
    except TournamentError as error:
        get_run_logger().info("which data versions there are is not known: %s", error)
        offered = []
    differing = differences(found, run.settings.data, offered)
    for difference in differing:
        get_run_logger().warning("round %s: %s", found.number, difference)
    _tell_once(run, found, differing)
    return differing


def _tell_once(run: Run, found: Round, differing: list[str]) -> None:
    place = run.settings.home_path / TOLD
    told = _told(place.read_text(encoding="utf-8")) if place.exists() else []
    fresh = [difference for difference in differing if difference not in told]
    if not fresh or run.settings.alert.block is None:
        return
    advice = "correct the settings (data.target, data.version) if that was not meant; this is said once"
    if tell_people(run, f"Eraflow: round {found.number} differs from the settings", "\n".join([*fresh, advice])):
        write_json(place, [*told, *fresh][-KEPT:])


def _told(text: str) -> list[str]:
    try:
        values = json.loads(text)
    except ValueError:  # a damaged one costs a message sent twice
        return []
    return [str(value) for value in values] if isinstance(values, list) else []
