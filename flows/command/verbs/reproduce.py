"""`eraflow reproduce`: build a run again from its record, and compare what comes out."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import announce_start, tell

if TYPE_CHECKING:
    from rich.console import RenderableType

    from eraflow.settings.run import RunSettings

IDENTICAL, DIFFERENT = "identical", "different"
EXIT_DIFFERENT = 1
SHOWN = 3
RECORD = "reproduction.json"


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "reproduce",
        help="build a run again from its record, and compare the hashes",
        description="Train a run anew, from the same files and by the same settings, in a home of its own where "
        "nothing is found finished, and compare features, folds, weights, predictions and the CSV with those of the "
        "run, file by file. Nothing is ever sent. What differs is named, with what may be the cause: another commit, "
        "changed code, other libraries, another computer, other data. Exit code 1: something differs.",
    )
    verb.add_argument("run", metavar="RUN", help="as `eraflow show` takes it: folder, name, or a beginning of either")
    verb.add_argument(
        "--data", metavar="DIR", help="folder with the files of its round, where the home no longer has them"
    )
    verb.add_argument("--out", metavar="DIR", help="empty folder to work in (default: reproductions/RUN in the home)")
    verb.add_argument("--keep", action="store_true", help="keep the copies of data and caches that served the building")
    verb.add_argument("--home", metavar="DIR", help="home folder, in which the run is looked for")
    verb.add_argument("--verbose", action="store_true", help="show the lines of the log instead of the live view")
    add_json(verb)
    verb.set_defaults(verb=reproduce)


def reproduce(arguments: argparse.Namespace) -> int:
    """Build it again and compare; returns the exit code."""
    announce_start(as_json=arguments.json)
    from eraflow.disk.home import home_folder, make_home
    from eraflow.runs.conclusion import check_outside_of_concluded
    from eraflow.runs.rebuilding import (
        begin_rebuilding,
        lay_out_files,
        rebuilt_settings,
        remove_bulk,
        verified_files,
    )
    from eraflow.runs.reclaim import REPRODUCTIONS
    from eraflow.runs.runlist import find_run

    home = home_folder(arguments.home)
    run_dir = find_run(home, arguments.run)
    place = Path(arguments.out).expanduser().resolve() if arguments.out else _free(home / REPRODUCTIONS / run_dir.name)
    check_outside_of_concluded(place)
    settings = rebuilt_settings(run_dir, place, place / "files")
    files = verified_files(run_dir, Path(arguments.data).expanduser() if arguments.data else None)
    make_home(place)
    lay_out_files(files, place / "files")
    tell(f"{run_dir.name} is built again in {place}; nothing of it is sent")
    try:
        return _run_and_compare(run_dir, begin_rebuilding(settings), arguments)
    finally:
        if not arguments.keep:
            remove_bulk(place)


def _free(place: Path) -> Path:
    number, free = 1, place
    while free.exists():
        number += 1
        free = place.with_name(f"{place.name}-{number}")
    return free


def _run_and_compare(original: Path, settings: RunSettings, arguments: argparse.Namespace) -> int:
    """The week in this process, as `eraflow run` has it, told by what its comparison says."""
    from flows.command.starting.start import PING_VARIABLE, FlowReport, start

    os.environ.pop(PING_VARIABLE, None)  # whoever waits for the week's sign of life must not take this for it

    found: dict[str, Any] = {}

    def record(run_dir: Path) -> dict[str, Any]:
        found.update(_record(original, run_dir))
        return found

    def in_words(told: dict[str, Any], settings: RunSettings, server: str) -> list[RenderableType]:
        return _parts(told)

    asked: dict[str, Any] = {
        "profile": None,
        "data": None,
        "target": None,
        "set": [],
        "resume": False,
        "dry_run": False,
    }
    asked |= {"run_dir": settings.run_dir, "home": settings.home}
    report = FlowReport(record, in_words, "build it again with the same command")
    code = start("weekly", argparse.Namespace(**{**vars(arguments), **asked}), report)
    return EXIT_DIFFERENT if code == 0 and not found.get("identical") else code


def _record(original: Path, rebuilt: Path) -> dict[str, Any]:
    """The comparison, written into the rebuilt run's folder; as long as that has not ended well, only its error."""
    from eraflow.disk.atomic import write_json
    from eraflow.runs.comparison import compare_folders
    from eraflow.runs.identity import identity
    from eraflow.runs.weekrecord import week_record

    week = week_record(rebuilt)
    told = {"run_dir": str(rebuilt), "original": str(original), "error": week["error"], "stages": week["stages"]}
    told |= {"identity": identity(rebuilt), "original_identity": identity(original)}
    if week["error"] is not None:
        return {**told, "outcome": "failed"}
    compared = compare_folders(original, rebuilt)
    told |= {"outcome": IDENTICAL if compared.identical else DIFFERENT, **compared.as_dict()}
    write_json(rebuilt / RECORD, told)
    return told


def _parts(told: dict[str, Any]) -> list[RenderableType]:
    from flows.command.terminal.printing import listed, places, table, words

    where = places([("run", told["original"]), ("rebuilt", told["run_dir"])])
    if told["error"] is not None:
        error = told["error"]
        return [words(f"{error['code']}: {error['problem']}\nWhat to do: {error['remedy']}", "bold red"), where]
    head = words("Identical: every byte that was compared is the same.", "bold green")
    if not told["identical"]:
        found = (one["name"] for one in told["artefacts"] if one["state"] != IDENTICAL)
        first = next(found, "the beginning, for the run's folder holds no finished stage any more")
        head = words(f"Different, from: {first}. What comes after it is made from it.", "bold red")
    rows = [(one["name"], str(one["files"]), str(len(one["differing"])), one["state"]) for one in told["artefacts"]]
    parts: list[RenderableType] = [head, table(("artefact", "files", "differ", ""), rows)]
    if differing := [(one["name"], _some(one["differing"])) for one in told["artefacts"] if one["differing"]]:
        parts.append(listed(differing))
    causes = told["causes"]
    if causes:
        parts.append(words("What differs between the two runs:\n" + "\n".join(f"- {cause}" for cause in causes)))
    elif not told["identical"]:
        parts.append(
            words(
                "Commit, libraries, computer, settings and data are the same: report this as a bug, with both records."
            )
        )
    return [*parts, where]


def _some(files: list[str]) -> str:
    return ", ".join(files[:SHOWN]) + (f" and {len(files) - SHOWN} more" if len(files) > SHOWN else "")
