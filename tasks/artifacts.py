"""What people look at in the Prefect UI: charts, tables, the verdict and the submission."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from eraflow.store.charts import cumulative_corr_chart
from eraflow.store.markdown import markdown_table, png_markdown
from eraflow.tournament.scoring import ModelScores
from eraflow.tournament.verdict import Verdict


def shown(create: Callable[[], object]) -> None:
    """Make an artifact, or log why it could not be made.

    A picture that the server does not take must not hide the error of the stage it is about, nor fail one that is done.
    """
    try:
        create()
    except Exception as error:  # noqa: BLE001
        logging.getLogger(__name__).error("an artifact cannot be shown: %s: %s", type(error).__name__, error)


def artifact_key(*parts: str) -> str:
    """Prefect takes lower-case letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def show_attempts(stage: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One version of the attempts table of a stage."""
    shown(
        lambda: create_table_artifact(
            [dict(row) for row in rows], key=artifact_key("attempts", stage), description=f"Attempts at {stage}"
        )
    )


def show_chart(scores: Mapping[str, ModelScores], blend: str, benchmark: str | None, target: str) -> None:
    """Cumulative CORR of every model, the blend and the benchmark."""
    curves = {name: model.per_era["corr"] for name, model in scores.items() if "corr" in model.per_era}
    png = cumulative_corr_chart(
        curves, highlight=blend, benchmark=benchmark, title=f"Cumulative CORR, out of fold, {target}"
    )
    shown(
        lambda: create_markdown_artifact(
            png_markdown(png, "Cumulative CORR"), key="cumulative-corr", description="Cumulative CORR, out of fold"
        )
    )


def show_models(table: Sequence[Mapping[str, Any]]) -> None:
    """The table of models: scores with intervals, eras, minutes, peak memory."""
    headers = list(table[0])
    shown(
        lambda: create_markdown_artifact(
            markdown_table(headers, [[row[header] for header in headers] for row in table]),
            key="models",
            description="Models, out of fold",
        )
    )


def show_verdict(verdict: Verdict) -> None:
    """The verdict: a table of figures, then each rule in words, because a long cell would be cut off."""
    head = "# Passed" if verdict.passed else "# Blocked"
    headers = ["", "rule", "kind", "figure", "bound", "threshold", "eras"]
    rows = [
        [
            rule.state if rule.passed else "**blocked**",
            rule.name,
            rule.kind,
            _figure(rule.figure),
            _figure(rule.bound),
            _figure(rule.threshold),
            rule.eras,
        ]
        for rule in verdict.rules
    ]
    words = "\n".join(f"- {rule.text}" for rule in verdict.rules)
    text = f"{head}\n\n{markdown_table(headers, rows)}\n\n{words}\n\n{verdict.note}"
    shown(lambda: create_markdown_artifact(text, key="verdict", description=f"Round {verdict.round_number}"))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def show_submission(submission: Mapping[str, Any], round_number: int) -> None:
    """The submission record: the ten checks and what Numerai said."""
    state = submission["state"]
    told = "not sent (dry run)" if state is None else f"id `{state['id']}`, state **{state['status']}**"
    checks = submission["file"]["checks"]
    rows = [["ok" if check["passed"] else "**failed**", check["name"], check["text"]] for check in checks]
    shown(
        lambda: create_markdown_artifact(
            f"# Round {round_number}\n\n{told}\n\n{markdown_table(['', 'check', ''], rows)}",
            key="submission",
            description=f"Round {round_number}",
        )
    )
