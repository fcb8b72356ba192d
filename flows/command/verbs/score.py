"""`eraflow score`: a file of predictions against a folder in tournament layout."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from eraflow.errors import SettingsError
from flows.command.terminal.options import add_confidence, add_json, confidence_of
from flows.command.terminal.outputs import print_record


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "score",
        help="score a file of predictions against a folder in tournament layout",
        description="Per-era CORR, MMC, BMC, FNC and exposure with calibrated intervals, as Numerai computes them.",
    )
    verb.add_argument("predictions", metavar="PREDICTIONS", help="CSV or parquet with id and prediction")
    verb.add_argument("--data", metavar="DIR", required=True, help="folder in tournament layout")
    verb.add_argument("--target", metavar="T", required=True, help="target to score on, for example target_ender_60")
    verb.add_argument("--alias-horizon", type=int, choices=(20, 60), help="days, only when T is the alias `target`")
    verb.add_argument("--benchmark", metavar="NAME", help="benchmark model for BMC (default: the one of this target)")
    verb.add_argument("--scratch", metavar="DIR", help="where the features are laid out meanwhile, one byte a value")
    add_confidence(verb)
    add_json(verb)
    verb.set_defaults(verb=score)


def score(arguments: argparse.Namespace) -> int:
    """Print a line for each metric, or one JSON record; returns the exit code."""
    from eraflow.data.readable import is_there
    from eraflow.runs.scratch import scratch_folder
    from eraflow.scoring.scoreapart import score_apart
    from eraflow.settings.data import DataSettings

    data = DataSettings(
        target=arguments.target, alias_horizon=arguments.alias_horizon, benchmark=arguments.benchmark, features="all"
    )
    confidence = confidence_of(arguments)
    predictions, folder = Path(arguments.predictions), Path(arguments.data)
    if not is_there(predictions):
        raise SettingsError(f"there is no file {predictions}", "name the file of predictions")
    if not folder.is_dir():
        raise SettingsError(f"--data: there is no folder {folder}", "name a folder in tournament layout")
    with scratch_folder("eraflow-score-", Path(arguments.scratch) if arguments.scratch else None) as scratch:
        found = score_apart(predictions, folder, data, scratch, confidence=confidence)
    if arguments.json:
        print_record({"predictions": arguments.predictions, **found.as_dict()})
    else:
        options = f"--data {shlex.quote(arguments.data)} --target {arguments.target}"
        from flows.command.terminal.printing import show
        from flows.command.verbs.score_tables import score_tables

        show(score_tables(found, options))
    return 0
