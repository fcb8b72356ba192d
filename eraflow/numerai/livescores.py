"""The live scores of past submissions, as the API tells them day by day until the round is resolved.

Read is `submissionScores`, which numerapi's own `submission_scores` asks: a row a submission, score and day. Rows
without a value are days that are not scored yet; rows may come twice, a percentile may be missing, and a value may be
another one tomorrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StrictBool, TypeAdapter, ValidationError, WrapValidator

from eraflow.numerai.answers import Answer, Figure, Id, Moment, Text, Whole, or_none, question
from eraflow.numerai.graphql import GraphQLClient

# The query of numerapi's submission_scores, as far as the answer is used.
_QUERY = """
    query($modelId: ID!
          $tournament: Int
          $lastNRounds: Int) {
        submissionScores(modelId: $modelId
                         tournament: $tournament
                         lastNRounds: $lastNRounds) {
            submissionId
            roundNumber
            displayName
            day
            date
            value
            percentile
            resolved
        }
    }
"""


class ScoreRow(Answer):
    """One score of one submission on one day; what is None is not known."""

    submission_id: Id = Field(alias="submissionId")
    round_number: Whole = Field(alias="roundNumber")
    name: Text = Field(alias="displayName")
    day: Whole
    date: Moment
    value: Figure | None = None
    percentile: Annotated[Figure | None, WrapValidator(or_none)] = None
    resolved: StrictBool | None = None


_ROWS = TypeAdapter(list[ScoreRow])
_ROW = TypeAdapter(ScoreRow)


def live_scores(graphql: GraphQLClient, model_id: str, last_rounds: int | None = None) -> tuple[list[ScoreRow], int]:
    """The scored days of a model's submissions, and how many rows could not be read, which hide no others.

    Args:
        graphql: the way to the API.
        model_id: of the slot.
        last_rounds: only those of so many newest rounds; None: of all.

    Raises:
        TournamentError: the question was not answered.
    """
    asked = question(
        _QUERY,
        "submissionScores",
        list[dict[str, Any] | None] | None,
        {"modelId": model_id, "lastNRounds": last_rounds},
        key=graphql.endpoint.has_key,
    )
    return readable(graphql.ask("reading the live scores", asked) or [])


def readable(told: Sequence[dict[str, Any] | None]) -> tuple[list[ScoreRow], int]:
    """The rows that hold a value, and the number of those that cannot be read; a day not scored yet is neither."""
    scored = [row for row in told if row is not None and row.get("value") is not None]
    try:
        return _ROWS.validate_python(scored), 0
    except ValidationError:
        found = [row for each in scored if (row := _read(each)) is not None]
        return found, len(scored) - len(found)


def _read(row: dict[str, Any]) -> ScoreRow | None:
    try:
        return _ROW.validate_python(row)
    except ValidationError:
        return None
