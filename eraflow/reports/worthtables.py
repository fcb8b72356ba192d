"""What each member is worth to the blend, as Markdown: for the report and for the page in the Prefect UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eraflow.reports.markdown import markdown_table

METRICS = {"payout": "payout", "payout_bmc": "payout with BMC", "corr": "CORR", "mmc": "MMC", "sharpe": "Sharpe"}
DIGITS = {"payout": 3, "payout_bmc": 3, "sharpe": 2}
WORDS = {"better": "adds", "worse": "takes away"}
"""What the comparison of the blend with the member and without it says of the member."""


def worth_text(worth: Mapping[str, Any] | None) -> str:
    """A table a metric, the correlations, and what may be said of them; empty of a single member."""
    if not worth:
        return ""
    members = worth["members"]
    names = [name for name in METRICS if any(name in one for one in members.values())]
    correlation = worth["correlation"]
    return "\n\n".join(
        [
            *(_table(name, members) for name in names),
            _correlation(correlation["members"], correlation["values"]),
            f"The blend with a member less the blend without it, on the same eras; where weights are learnt they are "
            f"learnt again without it, and nothing is neutralised. Each bound holds with {worth['confidence']:.0%}. "
            f"Each comparison stands alone: of members that add nothing {2 * (1 - worth['confidence']):.0%} are called "
            "one or the other by chance. The correlations are those of gaussianised ranks, mean over the judged eras.",
        ]
    )


def verdict_word(verdict: str) -> str:
    """Of a member, from the verdict of the comparison."""
    return WORDS.get(verdict, verdict)


def worth_figures(metric: Mapping[str, Any], digits: int) -> tuple[str, str]:
    """The difference and its bounds; a dash where there are too few eras."""
    if metric.get("low") is None or metric.get("high") is None:
        return ("-" if metric.get("difference") is None else f"{metric['difference']:+.{digits}f}"), "-"
    return f"{metric['difference']:+.{digits}f}", f"{metric['low']:+.{digits}f} to {metric['high']:+.{digits}f}"


def _table(name: str, members: Mapping[str, Any]) -> str:
    rows: list[Sequence[Any]] = []
    for member, metrics in members.items():
        if name in metrics:
            metric = metrics[name]
            figures = worth_figures(metric, DIGITS.get(name, 4))
            rows.append([member, *figures, str(metric["eras"]), verdict_word(metric["verdict"])])
    return markdown_table([f"worth in {METRICS[name]}", "difference", "bounds", "eras", ""], rows)


def _correlation(members: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    rows = [[name, *(f"{value:.2f}" for value in row)] for name, row in zip(members, values, strict=True)]
    return markdown_table(["correlation", *members], rows)
