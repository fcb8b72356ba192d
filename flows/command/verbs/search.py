"""`eraflow search`: the flow `research` from the terminal."""

from __future__ import annotations

import argparse
import json
from typing import Any

from flows.command.starting.runoptions import add_run_options
from flows.command.terminal.options import EPILOG


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "search",
        help="search parameters for the boosters; nothing is submitted",
        epilog=EPILOG,
        description="Search parameters for every booster of the settings on eras before the first judged one, confirm "
        "the best on eras that no trial saw, and keep them for models marked as tuned. Finished trials survive a kill: "
        "the same command goes on. Several processes, and with search.storage several computers, may work on one "
        "search at a time.",
    )
    add_run_options(verb)
    verb.add_argument("--trials", metavar="N", type=int, help="trials of each model, of all processes together")
    verb.add_argument("--model", metavar="NAME", action="append", help="search for this model only; may be given again")
    verb.set_defaults(verb=search)


def search(arguments: argparse.Namespace) -> int:
    """Run `research` in this process; returns the exit code."""
    from eraflow.runs.searchrecord import search_record
    from flows.command.starting.start import FlowReport, start
    from flows.command.verbs.search_summary import search_summary

    telling = FlowReport(search_record, search_summary, "finished trials are kept, the same command goes on")
    return start("research", with_options(arguments), telling)


def with_options(arguments: argparse.Namespace) -> argparse.Namespace:
    """The options of this verb as settings."""
    assignments = list(arguments.set)
    if arguments.trials is not None:
        assignments.append(f"search.trials={arguments.trials}")
    if arguments.model:
        assignments.append(f"search.models={json.dumps(arguments.model)}")
    return argparse.Namespace(**{**vars(arguments), "set": assignments, "dry_run": False})
