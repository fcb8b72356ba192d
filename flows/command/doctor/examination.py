"""All that is examined: the computer, what earlier runs left, the Prefect server, the way to the tournament."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from eraflow.disk.home import make_home
from eraflow.errors import EraflowError
from eraflow.machine.loopback import UnusableProxy
from eraflow.settings.source import SourceSettings
from flows.command.doctor.examine import Finding
from flows.command.doctor.examine_champion import examine_champions
from flows.command.doctor.examine_history import examine_history, examine_proxies, examine_rights
from flows.command.doctor.examine_leftovers import examine_leftovers
from flows.command.doctor.examine_machine import examine_machine
from flows.command.doctor.examine_tournament import examine_tournament
from flows.command.prefectserver.environment import prepare


def examine(home: Path, arguments: argparse.Namespace) -> Iterator[Finding]:
    """All checks: the computer, what earlier runs left, the Prefect server, the way to the tournament."""
    computer = list(examine_computer(home, getattr(arguments, "put_aside", [])))
    yield from computer
    if any(check.name == "home" and check.state == "failed" for check in computer):
        return  # everything below keeps something there
    prepare(home)
    from flows.command.doctor.examine_prefect import examine_prefect

    checks, answers = examine_prefect(arguments.alert)
    yield from checks
    source = SourceSettings()
    yield from examine_tournament(
        arguments.api or source.url, source.keys_block, server=answers, online=arguments.online
    )


def examine_computer(home: Path, put_aside: Sequence[UnusableProxy]) -> Iterator[Finding]:
    """The computer, the installation, what earlier runs left, and which histories there are."""
    with suppress(EraflowError):  # the check of the home says why
        make_home(home)
    machine = list(examine_machine(home))
    yield from machine
    if any(check.name == "home" and check.state == "failed" for check in machine):
        return  # everything below keeps something there
    yield examine_rights(home)
    yield from examine_leftovers(home)
    yield from examine_champions(home)
    yield from examine_history(home, os.environ)
    yield from examine_proxies(put_aside)
