"""`eraflow compare`: the models of one or several runs against one of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.command.terminal.options import add_confidence, add_json, confidence_of
from flows.command.terminal.outputs import print_record

METRICS = ("corr", "payout", "mmc", "bmc", "payout_bmc", "fnc")  # as eraflow.scoring.compare has them

if TYPE_CHECKING:
    from rich.console import RenderableType

    from eraflow.scoring.compare import ComparisonTable


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "compare",
        help="compare the models of one or several runs, era by era",
        description="The mean of each model on the eras that all have in common, and its paired difference to one of "
        "them, with calibrated bounds. A difference inside the noise is called not distinguishable.",
    )
    verb.add_argument("runs", metavar="RUN_DIR", nargs="+", help="folders of runs with a finished backtest")
    verb.add_argument("--against", metavar="MODEL", help="the reference (default: the blend of the first run)")
    verb.add_argument(
        "--models",
        metavar="A,B",
        type=lambda text: [name.strip() for name in text.split(",")],
        help="these alone (default: all); without one that covers few eras, more eras are in common",
    )
    verb.add_argument("--metric", default="corr", choices=METRICS, help="default corr")
    add_confidence(verb)
    add_json(verb)
    verb.set_defaults(verb=compare)


def compare(arguments: argparse.Namespace) -> int:
    """Print a table, or one JSON record; returns the exit code."""
    from eraflow.scoring.compare import compare_runs
    from flows.command.terminal.printing import show

    compared = compare_runs(
        [Path(run) for run in arguments.runs],
        arguments.against,
        only=arguments.models,
        metric=arguments.metric,
        confidence=confidence_of(arguments),
    )
    if arguments.json:
        print_record(compared.as_dict())
    else:
        show(_parts(compared))
    return 0


def _parts(compared: ComparisonTable) -> list[RenderableType]:
    """The means, the paired differences, and what was left out."""
    from flows.command.starting.summary import figure
    from flows.command.terminal.printing import table, words

    metric = compared.metric.upper()
    head = (
        f"Mean {metric} on {len(compared.eras)} common eras ({compared.eras[0]} to {compared.eras[-1]}), "
        f"{compared.confidence:.0%} one-sided bounds; differences are paired, against {compared.reference}."
    )
    means = [
        (row.model, figure(row.interval.mean), f"{figure(row.interval.low)} to {figure(row.interval.high)}")
        for row in compared.rows
    ]
    parts: list[RenderableType] = [words(head), table(("model", metric, "bounds"), means)]
    differences = [
        (
            row.model,
            f"{row.against.difference:+.4f}",
            f"{figure(row.against.interval.low)} to {figure(row.against.interval.high)}",
            row.against.verdict,
        )
        for row in compared.rows
        if row.against is not None
    ]
    if differences:
        parts.append(table((f"against {compared.reference}", "difference", "bounds", ""), differences))
    left = [f"Without a {metric}: {', '.join(compared.left_out)}."] if compared.left_out else []
    left += [f"left out: {reason}" for reason in compared.unfinished.values()]
    return [*parts, *([words("\n".join(left))] if left else [])]
