"""`eraflow runs`: the runs of a home, the newest first."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record

if TYPE_CHECKING:
    from rich.console import RenderableType

    from eraflow.runs.runlist import RunLine

LIMIT = 30
STATE, FIGURES = "state", ("CORR", "payout", "round")
HEAD = ("run", "profile", "state", "gate", "CORR", "payout", "round")


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "runs",
        help="the runs of a home: what came of each",
        description="Every run of a home, the newest first: its name (day, week, hash of the settings, hash of the "
        "weights), profile, what came of it, the gate's verdict, the blend's CORR and payout, and the round. "
        "`eraflow show RUN` tells all of one.",
    )
    verb.add_argument("--limit", type=int, default=LIMIT, metavar="N", help=f"show N runs; 0: all (default {LIMIT})")
    verb.add_argument("--home", metavar="DIR", help="home folder")
    add_json(verb)
    verb.set_defaults(verb=runs)


def runs(arguments: argparse.Namespace) -> int:
    """Print the table, or one JSON record with all runs; returns the exit code."""
    from eraflow.disk.home import home_folder, home_option
    from eraflow.runs.runlist import list_runs

    home = home_folder(arguments.home)
    found = list_runs(home)
    if arguments.json:
        print_record({"home": str(home), "runs": [line.as_dict() for line in found]})
        return 0
    from flows.command.terminal.printing import show

    show(_parts(found, max(arguments.limit, 0), str(home), home_option(home)))
    return 0


def _parts(found: list[RunLine], limit: int, home: str, option: str) -> list[RenderableType]:
    from flows.command.terminal.printing import words

    whole = [line for line in found if not line.problem]
    shown = whole[:limit] if limit else whole
    parts: list[RenderableType] = []
    if not whole:
        parts.append(words(f"There is no run in {home} yet; `eraflow run` makes one."))
    if shown:
        parts.append(_table(shown))
    if len(whole) > len(shown):
        parts.append(words(f"{len(whole) - len(shown)} older ones are not shown: --limit 0 shows all.", "dim"))
    if broken := [line for line in found if line.problem]:
        parts.append(words("\n".join(f"broken: {line.folder}: {line.problem}" for line in broken), "red"))
    if shown:
        parts.append(words(f"`eraflow show RUN{option}` tells all of one; a beginning of its name is enough.", "dim"))
    return parts


def _table(shown: list[RunLine]) -> RenderableType:
    """A run a line in 80 columns; only what came of it may take several."""
    from rich.table import Table

    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for name in HEAD:
        made.add_column(name, justify="right" if name in FIGURES else "left", no_wrap=name != STATE)
    for line in shown:
        made.add_row(*_row(line))
    return made


def _row(line: RunLine) -> tuple[str, ...]:
    gate = "-" if line.passed is None else "ok" if line.passed else "no"
    figures = ("-" if line.corr is None else f"{line.corr:.4f}", "-" if line.payout is None else f"{line.payout:.3f}")
    number = "-" if line.round_number is None else str(line.round_number)
    state = line.state if line.flow == "weekly" else f"{line.flow} {line.state}"
    return (line.name, line.profile, state, gate, *figures, number)
