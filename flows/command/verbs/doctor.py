"""`eraflow doctor`: what on this computer would stop a week, and what to do about it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from eraflow.disk.home import home_folder
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "doctor",
        help="check this machine, the installation, the Prefect server and the accounts",
        description="Look at everything a week depends on and say what to do. The alert block that the deployments "
        "name, or the one given here, gets a test message. Exit code 1 when something would stop a week.",
    )
    verb.add_argument("--home", metavar="DIR", help="home folder to check")
    verb.add_argument("--alert", metavar="BLOCK", help="notification block (type/name) to send a test message through")
    verb.add_argument("--online", action="store_true", help="also ask the API with the Numerai keys")
    verb.add_argument("--api", metavar="URL", help="address of a sandbox instead of Numerai")
    add_json(verb)
    verb.set_defaults(verb=doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Print every check; exit code 1 when one failed."""
    from flows.command.doctor.examination import examine
    from flows.command.doctor.examine import tell_findings

    checks = tell_findings(examine(home_folder(arguments.home), arguments), as_json=arguments.json)
    failed = any(check.state == "failed" for check in checks)
    if arguments.json:
        print_record({"healthy": not failed, "checks": [asdict(check) for check in checks]})
    return 1 if failed else 0
