"""`eraflow search`: the flow `research` from the terminal."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Group, RenderableType

from eraflow.runs.searchrecord import search_record
from eraflow.settings.run import RunSettings
from flows.command.starting.start import Telling, start
from flows.command.starting.summary import figure, interval
from flows.command.terminal.printing import places, table, words


def search(arguments: argparse.Namespace) -> int:
    """Run `research` in this process; returns the exit code."""
    return start("research", with_options(arguments), SEARCHED)


def with_options(arguments: argparse.Namespace) -> argparse.Namespace:
    """The options of this verb as settings."""
    assignments = list(arguments.set)
    if arguments.trials is not None:
        assignments.append(f"search.trials={arguments.trials}")
    if arguments.model:
        assignments.append(f"search.models={json.dumps(arguments.model)}")
    return argparse.Namespace(**{**vars(arguments), "set": assignments, "dry_run": False})


def summary(record: dict[str, Any], settings: RunSettings, server: str) -> list[RenderableType]:
    """What was found, what may be said of it, and how to use it."""
    parts: list[RenderableType] = [_model(name, found) for name, found in record.get("search", {}).items()]
    if record.get("error"):
        parts.append(
            words(f"{record['error']['code']}: {record['error']['problem']}\nWhat to do: {record['error']['remedy']}")
        )
    where = [("trials", str(settings.home_path / "search")), ("run folder", record["run_dir"])]
    parts.append(places(where))
    if record["outcome"] == "searched":
        use = "eraflow run --set models=lightgbm:tuned,xgboost:tuned,..."
        parts.append(words(f"To use what was found, mark models as tuned:\n  {use}"))
    return parts


def _model(name: str, found: dict[str, Any]) -> RenderableType:
    eras, first = found["eras"], found["confirmation"][0] if found["confirmation"] else {}
    head = (
        f"{name}: {found['trials']} trials, {found['kept']} kept; CORR on {eras['count']} eras that no trial saw "
        f"({eras['first']} to {eras['last']}), {first.get('confidence', 0.95):.0%} one-sided bounds:"
    )
    rows = []
    for row in found["confirmation"]:
        compared = row["against_defaults"]
        against = ("", "", "")
        if compared is not None:
            against = (f"{compared['difference']:+.4f}", interval(compared), compared["verdict"])
        rows.append((row["label"], figure(row["mean"]), *against))
    kept = ", ".join(f"{parameter}={_short(value)}" for parameter, value in found["params"].items())
    return Group(
        words(head),
        table(("parameters", "CORR", "to the defaults", "bounds", ""), rows),
        words(f"kept: {kept or 'the defaults'}"),
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


SEARCHED = Telling(search_record, summary, "finished trials are kept, the same command goes on")
