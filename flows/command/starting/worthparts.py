"""What each member is worth to the blend, in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType

from eraflow.reports.worthtables import verdict_word, worth_figures
from eraflow.scoring.memberworth import mean_correlations, paid_metric
from flows.command.terminal.printing import table, words

NAMES = {"payout": "payout", "payout_bmc": "payout, BMC", "corr": "CORR", "mmc": "MMC", "sharpe": "Sharpe"}
DIGITS = {"payout": 3, "payout_bmc": 3, "sharpe": 2}


def worth_parts(worth: dict[str, Any]) -> RenderableType:
    """The payout first, then CORR, then MMC and Sharpe beside each member's mean correlation with the others."""
    members = worth["members"]
    parts: list[RenderableType] = [_verdicts(members, name) for name in (paid_metric(members), "corr")]
    parts.append(_beside(members, mean_correlations(worth["correlation"])))
    parts.append(
        words(
            f"The blend with a member less the blend without it, {worth['confidence']:.0%} bounds, each one-sided; "
            "correlation: with the other members, mean over the judged eras.",
            "dim",
        )
    )
    return Group(*parts)


def _verdicts(members: dict[str, Any], name: str) -> RenderableType:
    rows = []
    for member, metrics in members.items():
        if name in metrics:
            found = metrics[name]
            figures = worth_figures(found, DIGITS.get(name, 4))
            rows.append((member, *figures, str(found["eras"]), verdict_word(found["verdict"])))
    return table(("worth of", NAMES[name], "bounds", "eras", ""), rows)


def _beside(members: dict[str, Any], correlations: dict[str, float]) -> RenderableType:
    """Without verdicts, which would not find room."""
    names = [name for name in ("mmc", "sharpe") if any(name in one for one in members.values())]
    rows = [
        (
            member,
            *(cell for name in names for cell in _cells(metrics.get(name), DIGITS.get(name, 4))),
            f"{correlations[member]:.2f}",
        )
        for member, metrics in members.items()
    ]
    return table(("worth of", *(head for name in names for head in (NAMES[name], "bounds")), "correlation"), rows)


def _cells(metric: dict[str, Any] | None, digits: int) -> tuple[str, str]:
    return ("-", "-") if metric is None else worth_figures(metric, digits)
