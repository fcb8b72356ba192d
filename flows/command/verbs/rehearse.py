"""`eraflow rehearse`: an exported model's first day at Numerai, held on this computer."""

from __future__ import annotations

import argparse
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eraflow.errors import SettingsError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record, say, tell

OURS = ".".join(platform.python_version_tuple()[:2])
EXIT_FAILED = 1


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "rehearse",
        help="run an exported model under Numerai's Python, libraries and limits",
        description="Load a pickle as Numerai does: its versions of the libraries, one processor, 4 GB, ten minutes, "
        "no network, nothing of this project. Each part is compared with its reference, a live era of full width and "
        "several eras are predicted, and what Numerai checks, at once and later, is checked. Where Docker is there, "
        "the official image is used. The pickle is executed: rehearse your own. Exit code 1: it would fail.",
    )
    verb.add_argument("pickle", metavar="PICKLE", nargs="?", help="the file that `eraflow export` wrote")
    verb.add_argument("--python", metavar="X.Y", default=OURS, help=f"Python of the image (default {OURS})")
    verb.add_argument("--data", metavar="FILE", help="a live file of yours (parquet), instead of one that is made up")
    verb.add_argument(
        "--eras",
        type=int,
        default=4,
        metavar="N",
        help="the most eras that are tried at once: 2, then twice as many each time, as long as one call can take them "
        "(default 4)",
    )
    verb.add_argument("--memory-mb", type=float, default=4096, metavar="MB", help="memory it may take (default 4096)")
    verb.add_argument("--seconds", type=float, default=600, metavar="S", help="time it may take (default 600)")
    verb.add_argument("--no-docker", action="store_true", help="do not use Docker, though it is there")
    verb.add_argument("--update", metavar="FILE", help="take the versions of a newer poetry.lock of the image")
    verb.add_argument("--home", metavar="DIR", help="home folder, where the libraries are kept")
    add_json(verb)
    verb.set_defaults(verb=rehearse_pickle)


def rehearse_pickle(arguments: argparse.Namespace) -> int:
    """Rehearse and print the verdict, or take a newer lock; returns the exit code."""
    from eraflow.disk.home import home_folder
    from eraflow.rehearsal.environment import rehearsal_folder
    from eraflow.rehearsal.pins import take_lock

    home = home_folder(arguments.home)
    if arguments.update:
        day = datetime.now(UTC).date().isoformat()
        taken = take_lock(Path(arguments.update), arguments.python, rehearsal_folder(home), day)
        say(f"{len(taken.versions)} versions for Python {taken.python} are taken, as of {taken.read}")
        if not arguments.pickle:
            return 0
    if not arguments.pickle:
        raise SettingsError("rehearse needs a pickle", "name the file that `eraflow export` wrote")
    verdict = _rehearsed(arguments, home)
    if arguments.json:
        print_record(verdict)
    else:
        say(words(verdict))
    return 0 if verdict["passed"] else EXIT_FAILED


def _rehearsed(arguments: argparse.Namespace, home: Path) -> dict[str, Any]:
    from eraflow.rehearsal.confinedrun import Room
    from eraflow.rehearsal.rehearsing import rehearse
    from eraflow.rehearsal.stages import stage_for
    from eraflow.runs.scratch import scratch_folder

    stage = stage_for(
        arguments.python,
        home,
        tell,
        docker=not arguments.no_docker,
        room=Room(arguments.memory_mb, arguments.seconds),
        live=Path(arguments.data) if arguments.data else None,
        eras=arguments.eras,
    )
    with scratch_folder("eraflow-rehearse-") as scratch:
        return rehearse(Path(arguments.pickle), stage, scratch, tell)


def words(verdict: dict[str, Any]) -> str:
    """The verdict for people."""
    from eraflow.rehearsal.judging import nearest_to_its_limit
    from eraflow.rehearsal.whatfits import dropping_in_words, members_in_words

    room = verdict["room"]
    lines = [f"{verdict['file']}: Python {verdict['python']}, {verdict['where']} of {verdict['pins']}"]
    if verdict["no_network"]:
        lines.append(f"no network: {' and '.join(verdict['no_network'])}")
    if verdict["estimate"]:
        told = verdict["estimate"]
        lines.append(f"expected for a live era: {told['cpu_seconds']:g} seconds, {told['memory_mb']:g} MiB")
    for told in (verdict["live"], *verdict["grown"]):
        if told is not None and "rows" in told:
            lines.append(
                f"{told['eras']} era{'s' if told['eras'] > 1 else ''}, {told['rows']} rows: {told['seconds']:.1f} of "
                f"{room['seconds']:g} seconds, {told['peak_mb']:.0f} of {room['memory_mb']:g} MiB, "
                f"{told['ties']:.1%} ties"
            )
        elif told is not None and not told.get("fits", True):
            lines.append(f"{told['eras']} eras at once do not fit; fewer do")
    if verdict["eras_that_fit"]:
        fit = verdict["eras_that_fit"]
        lines.append(f"extrapolated: {fit['time']} eras in the time, {fit['memory']} in the memory of one call")
    if verdict["validation"]:
        told = verdict["validation"]
        lines.append(
            f"extrapolated to validation, {told['rows']:,} rows: {told['seconds']:,.0f} seconds in "
            f"{told['calls']}+ calls"
        )
    if verdict["parts"]:
        worst = nearest_to_its_limit(verdict["parts"])
        lines.append(
            f"{len(verdict['parts']) - 1} parts compared; nearest to its limit is {worst['name']}: "
            f"{worst['difference']:.1e} of {worst['tolerance']:g}"
        )
    lines += [f"{one['code']}: {one['problem']}; {one['remedy']}" for one in verdict["faults"]]
    if verdict["to_drop"]:
        lines += [*members_in_words(verdict["estimate"]), dropping_in_words(verdict["to_drop"])]
    lines.append("passed" if verdict["passed"] else "failed: Numerai could not use this model")
    return "\n".join(lines)
