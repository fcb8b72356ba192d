"""`eraflow search`: the flow `research` from the terminal."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.settings import RunSettings
from eraflow.store.atomic import storage_errors
from eraflow.store.searchrecord import search_record
from eraflow.store.weekrecord import error_values
from flows import start as road
from flows.cli import print_record
from flows.environment import prepare
from flows.summary import figure

FLOW = "research"


def search(arguments: argparse.Namespace) -> int:
    """Run `research` in this process; returns the exit code."""
    settings = road.chosen_settings(FLOW, with_options(arguments))
    run_dir = Path(str(settings.run_dir))
    with storage_errors(settings.home_path):
        settings.home_path.mkdir(parents=True, exist_ok=True)
        server = prepare(settings.home_path)
    road.check_early(settings, run_dir)
    print(f"run folder {run_dir}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, road.terminated)
    try:
        road.serve(server)
        error = road.run_flow(FLOW, settings)
    except KeyboardInterrupt as interruption:
        print("eraflow: interrupted; finished trials are kept, the same command goes on", file=sys.stderr)
        if arguments.json:
            print_record(search_record(run_dir))
        return road.EXIT_TERMINATED if isinstance(interruption, road.Terminated) else road.EXIT_INTERRUPTED
    return _told(settings, run_dir, error, as_json=arguments.json)


def with_options(arguments: argparse.Namespace) -> argparse.Namespace:
    """The options of this verb as settings."""
    assignments = list(arguments.set)
    if arguments.trials is not None:
        assignments.append(f"search.trials={arguments.trials}")
    if arguments.model:
        assignments.append(f"search.models={json.dumps(arguments.model)}")
    return argparse.Namespace(**{**vars(arguments), "set": assignments, "dry_run": False})


def _told(settings: RunSettings, run_dir: Path, error: BaseException | None, *, as_json: bool) -> int:
    record = search_record(run_dir)
    if error is not None and record["error"] != error_values(error):
        record = {"run_dir": str(run_dir), "outcome": "failed", "error": error_values(error)}
    if isinstance(error, EraflowError):
        print(f"eraflow: {error}", file=sys.stderr)
    if as_json:
        print_record(record)
    else:
        print(summary(record, settings))
    if error is None:
        return 0
    return error.exit_code if isinstance(error, EraflowError) else 1


def summary(record: dict[str, Any], settings: RunSettings) -> str:
    """What was found, what may be said of it, and how to use it."""
    parts = [_model(name, found) for name, found in record.get("search", {}).items()]
    if record.get("error"):
        parts.append(
            f"{record['error']['code']}: {record['error']['problem']}\nWhat to do: {record['error']['remedy']}"
        )
    parts.append(f"Trials and results are kept in {settings.home_path / 'search'}; run folder {record['run_dir']}")
    if record["outcome"] == "searched":
        parts.append("To use them, mark models as tuned: eraflow run --set models=lightgbm:tuned,xgboost:tuned,...")
    return "\n\n" + "\n\n".join(parts)


def _model(name: str, found: dict[str, Any]) -> str:
    eras = found["eras"]
    lines = [
        f"{name}: {found['trials']} trials, {found['kept']} kept; on {eras['count']} eras that no trial saw "
        f"({eras['first']} to {eras['last']}):"
    ]
    for row in found["confirmation"]:
        compared = row["against_defaults"]
        against = (
            ""
            if compared is None
            else f"  {compared['difference']:+.4f} ({figure(compared['low'])} to {figure(compared['high'])}): "
            f"{compared['verdict']}"
        )
        lines.append(f"  {row['label']:<12}{figure(row['mean'])}{against}")
    kept = ", ".join(f"{parameter}={_short(value)}" for parameter, value in found["params"].items())
    return "\n".join([*lines, f"  kept: {kept or 'the defaults'}"])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
