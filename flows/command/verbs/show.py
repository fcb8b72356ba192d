"""`eraflow show`: all that the folder of one run tells."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record

if TYPE_CHECKING:
    from rich.console import RenderableType

PICTURE = re.compile(r"!\[[^\]]*\]\(data:[^)]*\)\n*")
SHORT = 12


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "show",
        help="all that one run tells: what it is, what came of it",
        description="What a run is (command line, code, data, libraries, hardware, hashes) and what came of it "
        "(scores, verdict, stages, submission). Nothing is started and nothing is written.",
    )
    verb.add_argument(
        "run", metavar="RUN", help="folder of the run, its name as `eraflow runs` lists it, or a beginning of either"
    )
    verb.add_argument("--report", action="store_true", help="print the report of the week instead, as text")
    verb.add_argument("--home", metavar="DIR", help="home folder")
    add_json(verb)
    verb.set_defaults(verb=show_run)


def show_run(arguments: argparse.Namespace) -> int:
    """Print it, or one JSON record; returns the exit code."""
    from eraflow.disk.home import home_folder
    from eraflow.runs.runlist import find_run
    from eraflow.runs.scrubbing import scrubbed_values

    run_dir = find_run(home_folder(arguments.home), arguments.run)
    record = _record(run_dir)
    if arguments.json:
        print_record(scrubbed_values(record))
        return 0
    from flows.command.terminal.printing import show

    show(_report(run_dir) if arguments.report else _parts(run_dir, record))
    return 0


def _record(run_dir: Path) -> dict[str, Any]:
    """What the folder tells now, with the settings and the files of the round."""
    from eraflow.disk.jsonobject import read_object
    from eraflow.runs.identity import data_files
    from eraflow.runs.searchrecord import search_record
    from eraflow.runs.unfinished import SETTINGS, begun_by
    from eraflow.runs.weekrecord import week_record

    told = search_record(run_dir) if begun_by(run_dir) == "research" else week_record(run_dir)
    if not (run_dir / "record.json").exists():
        told["outcome"] = "unfinished"
    return {**told, "data": data_files(run_dir), "settings": read_object(run_dir / SETTINGS)}


def _report(run_dir: Path) -> list[RenderableType]:
    """The report of the week as a terminal can show it: without its pictures."""
    from rich.markdown import Markdown

    from eraflow.reports.weekreport import week_report

    return [Markdown(PICTURE.sub("", week_report(run_dir, {})))]


def _parts(run_dir: Path, record: dict[str, Any]) -> list[RenderableType]:
    from eraflow.runs.continuation import stored_settings
    from flows.command.starting.summary import summary
    from flows.command.terminal.printing import words
    from flows.command.verbs.search_summary import search_summary

    settings = stored_settings(run_dir)
    parts = [words(record["identity"]["name"], "bold"), *_identity(record)]
    if settings is None:
        return [*parts, words("It was begun and has not come to its settings.")]
    if "search" in record:
        return [*parts, *search_summary(record, settings, "")]
    return [*parts, *summary(record, settings, "", advice=False)]


def _identity(record: dict[str, Any]) -> list[RenderableType]:
    from flows.command.terminal.printing import listed, places

    told = record["identity"]
    rows = [
        ("begun", f"{told['started'] or 'unknown'}, ended {told['ended'] or 'not yet'}"),
        ("command", " ".join(told["command"] or ["unknown"])),
        ("code", _code(told)),
        ("computer", _computer(told)),
        ("libraries", ", ".join(f"{name} {version}" for name, version in (told["libraries"] or {}).items()) or "-"),
        ("data", ", ".join(f"{name} {_short(file['sha256'])}" for name, file in record["data"].items()) or "unknown"),
    ]
    rows += [(f"{stage}", f"cannot be repeated exactly: {why}") for stage, why in told["not_deterministic"].items()]
    hashes = ("settings_sha256", "data_sha256", "weights_sha256", "submission_sha256")
    return [listed(rows, 10), places([(name.partition("_")[0], told[name] or "-") for name in hashes])]


def _code(told: dict[str, Any]) -> str:
    if told["git_commit"] is None:
        return "not from a checkout of git"
    return f"commit {_short(told['git_commit'])}{', with changes of its own' if told['git_dirty'] else ''}"


def _computer(told: dict[str, Any]) -> str:
    memory = f"{told['ram_mb']:,} MiB" if told["ram_mb"] else "unknown memory"
    gpus = f", {', '.join(told['gpus'])}" if told["gpus"] else ", no GPU"
    return f"{told['cpu']}, {told['cores']} cores, {memory}{gpus}; Python {told['python']}, {told['platform']}"


def _short(text: str | None) -> str:
    return (text or "unknown")[:SHORT]
