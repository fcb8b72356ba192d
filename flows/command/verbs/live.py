"""`eraflow live`: what the submissions have scored so far, and what their backtests promised."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eraflow.errors import EraflowError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import complain, print_record

if TYPE_CHECKING:
    from rich.console import RenderableType

    from eraflow.livescores.table import LiveLine

LIMIT = 30
HEAD = ("round", "day", "CORR", "MMC", "BMC", "payout", "perc.", "promised", "final")


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "live",
        help="live scores of what was sent, beside what was promised",
        description="Fetch the live scores of the account's model slots, keep every value with the day it was told, "
        "and list the newest of each submission beside what the backtest of exactly that ensemble promised. The "
        "weekly and the daily flow fetch them, too. A score is final when its horizon is over.",
    )
    verb.add_argument("--profile", help="where the tournament is: sandbox, or the default, Numerai")
    verb.add_argument("--data", metavar="DIR", help="the folder that a sandbox of this home serves")
    verb.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="any setting, such as source.url")
    verb.add_argument("--home", metavar="DIR", help="home folder")
    verb.add_argument("--no-fetch", action="store_true", help="only show what the home has")
    verb.add_argument("--limit", type=int, default=LIMIT, metavar="N", help=f"show N rounds; 0: all (default {LIMIT})")
    add_json(verb)
    verb.set_defaults(verb=live)


def live(arguments: argparse.Namespace) -> int:
    """Fetch, then print a table a slot, or one JSON record; returns the exit code."""
    from eraflow.livescores.store import slots_with_scores
    from eraflow.livescores.table import live_lines

    settings = _settings(arguments)
    error = None if arguments.no_fetch else _fetch(settings)
    slots = {(slot.source, slot.name): live_lines(slot) for slot in slots_with_scores(settings.home_path)}
    if arguments.json:
        rows = [{"source": source, **line.as_dict()} for (source, _), lines in slots.items() for line in lines]
        told = None if error is None else {"code": error.code, "problem": error.problem, "remedy": error.remedy}
        print_record({"home": str(settings.home_path), "scores": rows, "error": told})
    else:
        from flows.command.terminal.printing import show

        show(_parts(slots, max(arguments.limit, 0), settings.home_path))
    return 0 if error is None else error.exit_code


def _settings(arguments: argparse.Namespace) -> Any:
    from eraflow.settings.override import settings_from

    given: dict[str, Any] = {"home": arguments.home or ""}
    if arguments.data:
        given["source"] = {"kind": "sandbox", "data_dir": str(Path(arguments.data).expanduser().resolve())}
    return settings_from(arguments.profile or "laptop", given, arguments.set).at_home()


def _fetch(settings: Any) -> EraflowError | None:
    """Ask for every slot of the account; the error where that failed: what the home has is shown all the same."""
    from flows.command.prefectserver.environment import prepare
    from flows.command.verbs.submit import log_to_stderr, server_for_keys

    prepare(settings.home_path)  # before anything imports Prefect
    log_to_stderr()
    from tasks.livescores import fetch_all_slots

    try:
        with server_for_keys(settings):
            fetch_all_slots(settings)
    except EraflowError as error:
        complain(str(error))
        return error
    return None


def _parts(slots: dict[tuple[str, str], list[LiveLine]], limit: int, home: Path) -> list[RenderableType]:
    from flows.command.terminal.printing import table, words

    parts: list[RenderableType] = []
    for (source, name), lines in slots.items():
        shown = lines[:limit] if limit else lines
        parts += [words(f"{name}, of {source}", "bold"), table(HEAD, [_row(line) for line in shown])]
        if len(lines) > len(shown):
            parts.append(words(f"{len(lines) - len(shown)} older ones are not shown: --limit 0 shows all.", "dim"))
    return parts or [words(f"No live scores are kept in {home} yet: the first ones come days after a round closes.")]


def _row(line: LiveLine) -> tuple[str, ...]:
    figures = [_figure(value, 4) for value in (line.corr, line.mmc, line.bmc)]
    return (
        str(line.round_number),
        f"{line.day}/{line.horizon_days}",
        *figures,
        _figure(line.payout, 3),
        "-" if line.percentile is None else f"{line.percentile:.0%}",
        _figure(line.promised_corr, 4),
        "yes" if line.resolved else "",
    )


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:+.{digits}f}"
