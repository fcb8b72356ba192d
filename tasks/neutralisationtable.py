"""What neutralising the blend would be worth, as people see it in the Prefect UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_markdown_artifact

from eraflow.store.markdown import markdown_table
from tasks.artifacts import shown

METRICS = {"corr": "CORR", "sharpe": "Sharpe", "mmc": "MMC", "bmc": "BMC", "max_exposure": "largest exposure"}


def show_neutralisation(worth: Mapping[str, Any] | None) -> None:
    """The table of proportions, or why there is none; nothing when it was not asked for."""
    if worth is None:
        return
    text = neutralisation_text(worth)
    shown(
        lambda: create_markdown_artifact(
            text, key="neutralisation", description="What neutralising the blend would be worth, out of fold"
        )
    )


def neutralisation_text(worth: Mapping[str, Any]) -> str:
    """Markdown: a row a proportion; under it what the comparisons are and are not."""
    if "left_out" in worth:
        return f"The worth of neutralising was not judged: {worth['left_out']}."
    proportions = worth["proportions"]
    names = [name for name in METRICS if any(row.get(name, {}).get("eras") for row in proportions)]
    rows = [[_proportion(row, worth["chosen"]), *(_cell(row, name) for name in names)] for row in proportions]
    table = markdown_table(["neutralised", *(METRICS[name] for name in names)], rows)
    explained = max(row["explained_eras"] for row in proportions)
    gone = f" In {explained} eras the {worth['features']} features explain the blend completely." if explained else ""
    return (
        f"{table}\n\nThe blend, out of fold, with a share of what {worth['features']} features explain of it taken out "
        f"era by era. Beside each figure: the difference to 0 % on the same eras, its interval (each bound holds with "
        f"{worth['confidence']:.0%}) and what may be said about it; for the exposure, better is smaller.{gone} Each "
        f"comparison stands alone: of equal blends {2 * (1 - worth['confidence']):.0%} are called better or worse by "
        "chance. Choosing a proportion by this table uses the judged eras."
    )


def _proportion(row: Mapping[str, Any], chosen: float) -> str:
    return f"{row['proportion']:.0%}" + (" (chosen)" if row["proportion"] == chosen else "")


def _cell(row: Mapping[str, Any], name: str) -> str:
    metric, digits = row[name], 2 if name in ("sharpe", "max_exposure") else 4
    if metric.get("mean") is None:
        return "-"
    figure = f"{metric['mean']:.{digits}f}"
    if row["proportion"] == 0:
        return f"{figure} ({metric['eras']} eras)"
    if metric["low"] is None or metric["high"] is None:
        return f"{figure} (too few eras to compare)"
    low, high = (f"{metric[bound]:+.{digits}f}" for bound in ("low", "high"))
    return f"{figure} ({metric['difference']:+.{digits}f}, {low} to {high}: {metric['verdict']})"
