"""`eraflow daily`: a submission with the champion, for the rounds between two weeks."""

from __future__ import annotations

import argparse
from typing import Any

from flows.command.starting.runoptions import add_run_options
from flows.command.terminal.options import EPILOG
from flows.command.terminal.outputs import announce_start


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "daily",
        help="submit with the champion, for the rounds between two weeks",
        epilog=EPILOG,
        description="Fetch the live data, predict with the ensemble that was last shipped, and submit.",
    )
    add_run_options(verb)
    verb.set_defaults(verb=daily)


def daily(arguments: argparse.Namespace) -> int:
    """Run the flow `daily` in this process; returns the exit code."""
    announce_start(as_json=arguments.json)
    from flows.command.starting.start import start

    return start("daily", arguments)
