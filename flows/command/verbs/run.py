"""`eraflow run`: one complete week."""

from __future__ import annotations

import argparse
from typing import Any

from flows.command.starting.runoptions import add_run_options
from flows.command.terminal.options import EPILOG
from flows.command.terminal.outputs import announce_start


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "run",
        help="one complete week: fetch, train, judge, submit",
        epilog=EPILOG,
        description="Fetch and verify the data, train every model on purged windows, blend, judge, and submit if the "
        "gate allows it. `eraflow run --profile sandbox` needs no account.",
    )
    add_run_options(verb)
    verb.set_defaults(verb=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the flow `weekly` in this process; returns the exit code."""
    announce_start(as_json=arguments.json)
    from flows.command.starting.start import start

    return start("weekly", arguments)
