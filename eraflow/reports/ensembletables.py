"""The further ensembles of a week and how alike the slots are: figures for the terminal, Markdown for the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eraflow.reports.markdown import markdown_table
from eraflow.runs.outcome import run_in_words

HEAD = ("ensemble", "slot", "came of it", "CORR", "payout", "gate")
PAIR_HEAD = ("correlation of", "mean", "bounds", "eras", "live")
BLOCKED = "no"


def ensemble_rows(ensembles: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row an ensemble: its slot, what came of it, its mean CORR and payout out of fold, its verdict."""
    rows: list[tuple[str, ...]] = []
    for name, record in ensembles.items():
        scores = (record.get("scores") or {}).get("blend") or {}
        verdict = record.get("verdict")
        passed = "-" if verdict is None else "ok" if verdict["passed"] else BLOCKED
        figures = (_mean(scores.get("corr"), 4), _mean(scores.get("payout"), 3))
        rows.append((name, str(record.get("slot") or "-"), run_in_words(record), *figures, passed))
    return rows


def pair_rows(correlations: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row a pair of ensembles."""
    return [
        (
            f"{pair['a']} and {pair['b']}",
            _figure(pair["mean"]),
            f"{_figure(pair['low'])} to {_figure(pair['high'])}" if pair["low"] is not None else "-",
            str(pair["eras"]),
            _figure(pair["live"]),
        )
        for pair in correlations["pairs"]
    ]


def correlations_note(correlations: Mapping[str, Any]) -> str:
    """What the figures of `pair_rows` are."""
    return (
        "Correlation of ranks within eras, mean over the judged eras with bounds of "
        f"{correlations['confidence']:.0%} each, and in the live era. Two slots near 1 say the same: they earn and "
        "lose together."
    )


def ensembles_text(record: Mapping[str, Any]) -> str:
    """The further ensembles of a week as Markdown; empty where there are none."""
    ensembles = record.get("ensembles") or {}
    if not ensembles:
        return ""
    parts = ["## Further ensembles", markdown_table(list(HEAD), [list(row) for row in ensemble_rows(ensembles)])]
    parts += [f"- **{name}**: {why}" for name, one in ensembles.items() if (why := _why(one))]
    if correlations := record.get("correlations"):
        parts.append(correlations_text(correlations))
    if record.get("contest"):
        parts.append(contest_words(record["contest"]))
    return "\n\n".join(parts)


def correlations_text(correlations: Mapping[str, Any]) -> str:
    """The correlations of the slots as Markdown."""
    table = markdown_table(list(PAIR_HEAD), [list(row) for row in pair_rows(correlations)])
    return f"{table}\n\n{correlations_note(correlations)}"


def contest_words(contest: Mapping[str, Any]) -> str:
    """What the week decided about the challenger, and why."""
    outcome = "takes the champion's place from the next round on" if contest["promoted"] else "stays the challenger"
    return f"Challenger {contest['challenger']}, against {contest['champion']}: it {outcome}. {contest['why']}."


def _why(record: Mapping[str, Any]) -> str:
    """Why nothing was sent of an ensemble; nothing where it was, or is not meant to be."""
    if record.get("error"):
        return f"{record['error']['code']}: {record['error']['problem']}"
    verdict = record.get("verdict") or {}
    blocked = [rule["text"] for rule in verdict.get("rules", []) if not rule["passed"]]
    return "; ".join(blocked)


def _mean(metric: Mapping[str, Any] | None, digits: int) -> str:
    return _figure(metric["mean"], digits) if metric and metric.get("eras") else "-"


def _figure(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
