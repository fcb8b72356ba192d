"""`eraflow compare`: the models of one or several runs against one of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import RenderableType

from eraflow.scoring.compare import ComparisonTable, compare_runs
from flows.command.starting.summary import figure
from flows.command.terminal.confidence import confidence_of
from flows.command.terminal.outputs import print_record
from flows.command.terminal.printing import show, table, words


def compare(arguments: argparse.Namespace) -> int:
    """Print a table, or one JSON record."""
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
