"""`eraflow compare`: the models of one or several runs against one of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from eraflow.tournament.compare import ComparisonTable, compare_runs
from flows.cli import print_record
from flows.confidence import confidence_of
from flows.summary import figure


def compare(arguments: argparse.Namespace) -> int:
    """Print a table, or one JSON record."""
    table = compare_runs(
        [Path(run) for run in arguments.runs],
        arguments.against,
        only=arguments.models,
        metric=arguments.metric,
        confidence=confidence_of(arguments),
    )
    if arguments.json:
        print_record(table.as_dict())
    else:
        print(_text(table))
    return 0


def _text(table: ComparisonTable) -> str:
    width = max(len(row.model) for row in table.rows)
    lines = [
        f"mean {table.metric.upper()} on {len(table.eras)} common eras ({table.eras[0]} to {table.eras[-1]}), "
        f"{table.confidence:.0%} one-sided bounds; differences are paired, against {table.reference}"
    ]
    for row in table.rows:
        line = f"{row.model:<{width}}  {figure(row.interval.mean)} ({figure(row.interval.low)} to "
        line += f"{figure(row.interval.high)})"
        if row.against is not None:
            bounds = row.against.interval
            line += f"  {row.against.difference:+.4f} ({bounds.low:+.4f} to {bounds.high:+.4f}): {row.against.verdict}"
        lines.append(line)
    if table.left_out:
        lines.append(f"without a {table.metric.upper()}: {', '.join(table.left_out)}")
    lines += [f"left out: {reason}" for reason in table.unfinished.values()]
    return "\n".join(lines)
