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


Count = Annotated[int, Field(strict=True, ge=0, le=10**9)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
UtcText = Annotated[str, Field(strict=True, pattern=r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?$")]


class ScoreRow(Answer):
    """One score of one submission on one day; what is None is not known.

    Years of them are hundreds of thousands, so they are read strictly; what is written in another way is read once
    more, see `readable`.
    """

    submission_id: Annotated[str, Field(strict=True, min_length=1, max_length=200)] = Field(alias="submissionId")
    round_number: Count = Field(alias="roundNumber")
    name: Annotated[str, Field(strict=True, min_length=1, max_length=200)] = Field(alias="displayName")
    day: Count
    date: UtcText
    value: Number
    percentile: Number | None = None
    resolved: StrictBool | None = None


class LooseRow(Answer):
    """The same, where numbers may be texts, and times be written in any way of ISO 8601."""

    submissionId: Id
    roundNumber: Whole
    displayName: Text
    day: Whole
    date: Moment
    value: Figure
    percentile: Annotated[Figure | None, WrapValidator(or_none)] = None
    resolved: StrictBool | None = None


_ROWS = TypeAdapter(list[ScoreRow])


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
        loose = LooseRow.model_validate(row)
        return ScoreRow.model_validate({**loose.model_dump(), "date": f"{loose.date:%Y-%m-%dT%H:%M:%S}Z"})
    except ValidationError:
        return None
