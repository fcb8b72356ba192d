"""What neutralising the blend would be worth, as people see it in the Prefect UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact

from eraflow.reports.markdown import markdown_table
from tasks.pages.artifacts import page_key, shown

METRICS = {
    "corr": "CORR",
    "sharpe": "Sharpe",
    "payout": "payout",
    "payout_bmc": "payout with BMC",
    "mmc": "MMC",
    "bmc": "BMC",
    "max_exposure": "largest exposure",
}


def show_neutralisation(worth: Mapping[str, Any] | None) -> None:
    """The table of proportions, or why there is none; nothing when it was not asked for."""
    if worth is None:
        return
    text = neutralisation_text(worth)
    shown(
        lambda: create_markdown_artifact(
            text, key=page_key("neutralisation"), description="What neutralising the blend would be worth, out of fold"
        )
    )


def neutralisation_text(worth: Mapping[str, Any]) -> str:
    """Markdown: a table a metric, so that it fits the page; under them what the comparisons are and are not."""
    if "left_out" in worth:
        return f"The worth of neutralising was not judged: {worth['left_out']}."
    proportions = worth["proportions"]
    names = [name for name in METRICS if any(row.get(name, {}).get("eras") for row in proportions)]
    tables = "\n\n".join(_table(name, proportions, worth["chosen"]) for name in names)
    explained = max(row["explained_eras"] for row in proportions)
    gone = f" In {explained} eras the {worth['features']} features explain the blend completely." if explained else ""
    return (
        f"{tables}\n\nThe blend, out of fold, with a share of what {worth['features']} features explain of it taken "
        f"out era by era. Beside each figure: the difference to 0 % on the same eras, its bounds (each holds with "
        f"{worth['confidence']:.0%}) and what may be said about it; for the exposure, better is smaller.{gone} Each "
        f"comparison stands alone: of equal blends {2 * (1 - worth['confidence']):.0%} are called better or worse by "
        "chance. Choosing a proportion by this table uses the judged eras."
    )


def _proportion(row: Mapping[str, Any], chosen: float) -> str:
    return f"{row['proportion']:.0%}" + (" (chosen)" if row["proportion"] == chosen else "")


def _table(name: str, proportions: Sequence[Mapping[str, Any]], chosen: float) -> str:
    eras = max(row[name].get("eras") or 0 for row in proportions)
    rows = [[_proportion(row, chosen), *_cells(row, name)] for row in proportions]
    head = ["neutralised", METRICS[name], "difference", "bounds", "verdict"]
    return f"**{METRICS[name]}**, {eras} eras\n\n{markdown_table(head, rows)}"


def _cells(row: Mapping[str, Any], name: str) -> list[str]:
    metric, digits = row[name], 2 if name in ("sharpe", "max_exposure") else 4
    if metric.get("mean") is None:
        return ["-", "", "", ""]
    figure = f"{metric['mean']:.{digits}f}"
    if row["proportion"] == 0:
        return [figure, "", "", ""]
    if metric["low"] is None or metric["high"] is None:
        return [figure, "", "", "too few eras to compare"]
    low, high = (f"{metric[bound]:+.{digits}f}" for bound in ("low", "high"))
    return [figure, f"{metric['difference']:+.{digits}f}", f"{low} to {high}", metric["verdict"]]
