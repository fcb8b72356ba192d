"""What people look at of a search: its course, the parameters that decide, the confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_markdown_artifact

from eraflow.reports.markdown import markdown_table, png_markdown
from eraflow.reports.searchcharts import course_chart, importance_chart
from tasks.pages.artifacts import artifact_key, shown

SHOWN = 12


def show_search(report: Mapping[str, Any]) -> None:
    """One version of the page of a model's search."""
    shown(
        lambda: create_markdown_artifact(
            search_page(report), key=artifact_key("search", report["name"]), description=f"Search, {report['name']}"
        )
    )


def search_page(report: Mapping[str, Any]) -> str:
    """The page: the result in words, confirmation, course, importance, the best trials, the space with its reasons."""
    name = report["name"]
    ylabel = "CORR less penalty" if report["objective"]["against"] is None else "payout less penalty"
    course = course_chart(report["course"], title=f"Search for {name}", ylabel=ylabel)
    importance = importance_chart(report["importance"], title="Importance of parameters (PED-ANOVA)")
    parts = [
        f"# {name}: {search_in_words(report)}",
        "## Confirmation, on eras that no trial saw",
        _confirmation(report),
        "## Course",
        png_markdown(course, f"Course of the search for {name}"),
        "## What decides",
        png_markdown(importance, "Importance of parameters"),
        "## The best trials",
        _best(report),
        "## The space",
        markdown_table(
            ["parameter", "from", "to", "scale", "why"],
            [
                [one["parameter"], f"{one['from']:.4g}", f"{one['to']:.4g}", "log" if one["log"] else "", one["why"]]
                for one in report["space"]
            ],
        ),
    ]
    return "\n\n".join(parts)


def search_in_words(report: Mapping[str, Any]) -> str:
    """The result in a line."""
    eras = report["eras"]
    told = f"{report['trials']} trials, confirmed on {eras['count']} eras {eras['first']} to {eras['last']}: "
    if report["kept"] == "defaults":
        return told + "the defaults are kept, no finalist did better there"
    compared = report["confirmation"][report["winner"]]["against_defaults"]
    return told + f"{report['confirmation'][report['winner']]['label']} is kept, {_difference(compared)}"


def _difference(compared: Mapping[str, Any]) -> str:
    return (
        f"{compared['difference']:+.4f} against the defaults ({_figure(compared['low'])} to "
        f"{_figure(compared['high'])}): {compared['verdict']}"
    )


def _confirmation(report: Mapping[str, Any]) -> str:
    rows = [
        [
            row["label"],
            _figure(row["mean"]),
            f"{_figure(row['low'])} to {_figure(row['high'])}",
            "" if row["against_defaults"] is None else _difference(row["against_defaults"]),
            _figure(row["value"]),
        ]
        for row in report["confirmation"]
    ]
    headers = ["parameters", "score", "interval", "against the defaults", "value in the search"]
    note = (
        "The best of several was chosen here, so its own score is a little flattered. The intervals against the "
        "defaults are wide enough for as many comparisons as there are."
    )
    return f"{markdown_table(headers, rows)}\n\n{note}"


def _best(report: Mapping[str, Any]) -> str:
    complete = [line for line in report["course"] if line["value"] is not None]
    names = [one["parameter"] for one in report["space"]]
    best = sorted(complete, key=lambda line: -line["value"])[:SHOWN]
    headers = ["trial", "value", "CORR", "training CORR", report.get("unit", "trees"), *names]
    rows = [
        [
            line["trial"],
            *(_figure(line[name]) for name in ("value", "corr", "training_corr")),
            line["length"],
            *(f"{line['params'][name]:.4g}" if name in line["params"] else "default" for name in names),
        ]
        for line in best
    ]
    return markdown_table(headers, rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
