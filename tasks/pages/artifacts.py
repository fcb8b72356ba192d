"""What people look at in the Prefect UI: charts, tables, the verdict and the submission."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterId

from eraflow.gate.verdict import Verdict
from eraflow.reports.charts import cumulative_corr_chart
from eraflow.reports.ensembletables import contest_words, correlations_text
from eraflow.reports.markdown import markdown_table, png_markdown
from eraflow.scoring.scoring import ModelScores
from tasks.recovery.presence import server_listens


class Place(StrEnum):
    """Where an artifact stands in the list of a run: the first digits that its id may have.

    Prefect's UI lists the artifacts of a run by their ids, the highest first, and the server draws an id by chance.
    """

    REPORT = "f"
    RESULT = "cde"
    PAGE = "6789ab"
    DETAIL = "012345"


MOST_DRAWS = 80  # the report needs 16 on average, 200 ms in all; one in 170 finds no such id and stands elsewhere


def shown(create: Callable[[], object], place: Place = Place.PAGE) -> None:
    """Make an artifact, or log why it could not be made.

    A picture that the server does not take must not hide the error of the stage it is about, nor fail one that is done.

    Args:
        create: makes it and returns its id.
        place: where it is to stand in the list.
    """
    if not server_listens():
        logging.getLogger(__name__).warning("an artifact cannot be shown: the Prefect server is not there")
        return
    try:
        placed(create, place)
    except Exception as error:  # noqa: BLE001
        logging.getLogger(__name__).error("an artifact cannot be shown: %s: %s", type(error).__name__, error)


def placed(create: Callable[[], object], place: Place) -> object:
    """Make an artifact and copy it until an id stands where it should; the others are removed. Returns the id."""
    made = create()
    if not isinstance(made, UUID) or str(made)[0] in place:
        return made
    with get_client(sync_client=True) as client:
        drawn = [made]
        first = client.read_artifacts(artifact_filter=ArtifactFilter(id=ArtifactFilterId(any_=[made])))[0]
        copy = ArtifactCreate(**first.model_dump(include=set(ArtifactCreate.model_fields)))
        while str(drawn[-1])[0] not in place and len(drawn) < MOST_DRAWS:
            drawn.append(client.create_artifact(copy).id)
        for other in drawn[:-1]:
            client.delete_artifact(other)
    return drawn[-1]


_ENSEMBLE: ContextVar[str] = ContextVar("ensemble", default="")


@contextmanager
def pages_of(ensemble: str) -> Iterator[None]:
    """What is shown meanwhile is about a further ensemble: its pages have keys of their own."""
    token = _ENSEMBLE.set(ensemble)
    try:
        yield
    finally:
        _ENSEMBLE.reset(token)


def page_key(key: str) -> str:
    """The key of a page that each ensemble of a week has one of."""
    return artifact_key(key, _ENSEMBLE.get())


def artifact_key(*parts: str) -> str:
    """Prefect takes lower-case letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def show_attempts(stage: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One version of the attempts table of a stage."""
    shown(
        lambda: create_table_artifact(
            [dict(row) for row in rows], key=page_key(f"attempts-{stage}"), description=f"Attempts at {stage}"
        ),
        Place.DETAIL,
    )


def show_chart(scores: Mapping[str, ModelScores], blend: str, benchmark: str | None, target: str) -> None:
    """Cumulative CORR of every model, the blend and the benchmark."""
    curves = {name: model.per_era["corr"] for name, model in scores.items() if "corr" in model.per_era}
    png = cumulative_corr_chart(
        curves, highlight=blend, benchmark=benchmark, title=f"Cumulative CORR, out of fold, {target}"
    )
    shown(
        lambda: create_markdown_artifact(
            png_markdown(png, "Cumulative CORR"),
            key=page_key("cumulative-corr"),
            description="Cumulative CORR, out of fold",
        ),
        Place.RESULT,
    )


def show_models(table: Sequence[Mapping[str, Any]]) -> None:
    """The table of models: scores with intervals, eras, minutes, peak memory."""
    headers = list(table[0])
    shown(
        lambda: create_markdown_artifact(
            markdown_table(headers, [[row[header] for header in headers] for row in table]),
            key=page_key("models"),
            description="Models, out of fold",
        ),
        Place.RESULT,
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
    told = [rule.text for rule in verdict.rules] + [base.text for base in verdict.bases]
    words = "\n".join(f"- {text}" for text in told)
    text = f"{head}\n\n{markdown_table(headers, rows)}\n\n{words}\n\n{verdict.note}"
    shown(
        lambda: create_markdown_artifact(text, key=page_key("verdict"), description=f"Round {verdict.round_number}"),
        Place.RESULT,
    )


def show_contest(contest: Mapping[str, Any]) -> None:
    """What was decided about the challenger."""
    text = contest_words(contest)
    shown(lambda: create_markdown_artifact(text, key="contest", description="Champion and challenger"), Place.RESULT)


def show_correlations(correlations: Mapping[str, Any]) -> None:
    """How alike the predictions of the week's ensembles are."""
    text = correlations_text(correlations)
    shown(
        lambda: create_markdown_artifact(text, key="correlations", description="How alike the slots are"), Place.RESULT
    )


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
            key=page_key("submission"),
            description=f"Round {round_number}",
        ),
        Place.RESULT,
    )
