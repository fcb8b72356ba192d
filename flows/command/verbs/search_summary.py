"""The last words of `eraflow search`: what was found, what may be said of it, and how to use it."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType

from eraflow.settings.run import RunSettings
from flows.command.starting.summary import figure, interval
from flows.command.terminal.printing import places, table, words


def search_summary(record: dict[str, Any], settings: RunSettings, server: str) -> list[RenderableType]:
    """What was found, what may be said of it, and how to use it."""
    parts: list[RenderableType] = [_model(name, found) for name, found in record.get("search", {}).items()]
    if record.get("error"):
        parts.append(
            words(f"{record['error']['code']}: {record['error']['problem']}\nWhat to do: {record['error']['remedy']}")
        )
    where = [("trials", str(settings.home_path / "search")), ("run folder", record["run_dir"])]
    parts.append(places(where))
    if record["outcome"] == "searched":
        use = "eraflow run --set models=lightgbm:tuned,xgboost:tuned,..."
        parts.append(words(f"To use what was found, mark models as tuned:\n  {use}"))
    return parts


def _model(name: str, found: dict[str, Any]) -> RenderableType:
    eras, first = found["eras"], found["confirmation"][0] if found["confirmation"] else {}
    head = (
        f"{name}: {found['trials']} trials, {found['kept']} kept; CORR on {eras['count']} eras that no trial saw "
        f"({eras['first']} to {eras['last']}), {first.get('confidence', 0.95):.0%} one-sided bounds:"
    )
    rows = []
    for row in found["confirmation"]:
        compared = row["against_defaults"]
        against = ("", "", "")
        if compared is not None:
            against = (f"{compared['difference']:+.4f}", interval(compared), compared["verdict"])
        rows.append((row["label"], figure(row["mean"]), *against))
    kept = ", ".join(f"{parameter}={_short(value)}" for parameter, value in found["params"].items())
    return Group(
        words(head),
        table(("parameters", "CORR", "to the defaults", "bounds", ""), rows),
        words(f"kept: {kept or 'the defaults'}"),
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
