"""What the API answers to each question, field by field, checked by pydantic before anything is made of it.

An answer may hold more than was asked for; it may not lack what is needed, nor hold it in another type. What does not
fit becomes a `ValidationError`; `GraphQLClient` makes an `OddAnswerError` of it that names the question and the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from numerapi import NumerAPI
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)

_DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:")
_SHOWN = 60  # characters of a value that are shown


def _no_bool(value: Any) -> Any:
    """`true` is 1 for pydantic; for us it is a wrong type."""
    if isinstance(value, bool):
        raise ValueError("a number was expected")
    return value


def _number_text(value: Any) -> Any:
    """Numerai writes some numbers as text, with commas between thousands."""
    return value.replace(",", "") if isinstance(value, str) else _no_bool(value)


def _identifier(value: Any) -> Any:
    """GraphQL's ID may come as text or as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _time_text(value: Any) -> Any:
    """Text alone: pydantic would take a number for seconds since 1970."""
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("a time in ISO 8601 was expected")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time within the calendar was expected") from error


def reason_text(value: Any) -> Any:
    """A reason in another shape than text is still a reason."""
    return value if value is None or isinstance(value, str) else json.dumps(value)[:300]


def or_none(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """For what is only told to people: not known where it cannot be read."""
    try:
        return handler(value)
    except ValidationError:
        return None


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address was expected")
    return value


Text = Annotated[str, Field(strict=True, min_length=1, max_length=100_000)]
Id = Annotated[Text, BeforeValidator(_identifier)]
Whole = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=10**9)]
Figure = Annotated[float, BeforeValidator(_number_text), Field(allow_inf_nan=False)]
Moment = Annotated[datetime, BeforeValidator(_time_text), AfterValidator(_in_utc)]
Address = Annotated[Text, AfterValidator(_address)]


class Answer(BaseModel):
    """Base of what is read from an answer; fields that nobody asked for are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ScoreConfig(Answer):
    """A score of a round, and what it pays."""

    name: Text
    is_payout: StrictBool | None = Field(None, alias="isPayout")
    default_multiplier: Figure | None = Field(None, alias="defaultMultiplier")
    clip_threshold: Annotated[Figure | None, WrapValidator(or_none)] = Field(None, alias="clipThreshold")


class RoundRow(Answer):
    """A round."""

    number: Whole
    open_time: Moment = Field(alias="openTime")
    close_staking_time: Moment | None = Field(None, alias="closeStakingTime")
    close_time: Moment | None = Field(None, alias="closeTime")
    target: Text | None = None
    score_configs: list[ScoreConfig | None] | None = Field(None, alias="roundScoreConfigs")
    payout_factor: Annotated[Figure | None, WrapValidator(or_none)] = Field(None, alias="payoutFactor")
    data_datestamp: Annotated[Whole | None, WrapValidator(or_none)] = Field(None, alias="dataDatestamp")


class ModelRow(Answer):
    """A model slot of the account."""

    id: Id
    name: Text
    tournament: Whole


class Account(Answer):
    """The account with its model slots."""

    models: list[ModelRow | None]


class FileAuth(Answer):
    """Where a file may be put or fetched, and the name it has there."""

    filename: Text
    url: Address


class Created(Answer):
    """What was registered."""

    id: Id


class RoundNumber(Answer):
    """The round of a submission."""

    number: Whole | None = None


class SubmissionRow(Answer):
    """A submission of a model."""

    id: Id
    filename: Annotated[str, Field(strict=True)] | None = None
    status: Text | None = None
    error: Annotated[str | None, BeforeValidator(reason_text)] = Field(None, alias="errorInfo")
    selected: StrictBool | None = None
    inserted_at: Moment | None = Field(None, alias="insertedAt")
    round: RoundNumber | None = None


def question(
    query: str, field: str, expected: Any, variables: Mapping[str, Any], *, key: bool = False
) -> Callable[[NumerAPI], Any]:
    """A question for `GraphQLClient.ask`: asks `query` and gives the content of `field` in the answer, as `expected`.

    Args:
        query: GraphQL.
        field: the operation whose answer is wanted.
        expected: a pydantic model, or any type that pydantic knows.
        variables: of the query; `tournament` is added where the query asks for it.
        key: whether the question needs the key.
    """
    fields: dict[str, Any] = {field: (expected, ...)}
    data = create_model("Data", __base__=Answer, **fields)
    envelope = create_model("Envelope", __base__=Answer, data=(data, ...))

    def ask(api: NumerAPI) -> Any:
        given = {"tournament": api.tournament_id, **variables} if "$tournament" in query else dict(variables)
        answered: Any = envelope.model_validate(api.raw_query(query, given, authorization=key))
        return getattr(answered.data, field)

    return ask


def oddity(error: ValidationError) -> str:
    """What is odd about an answer: which field holds what, and what was expected; for people, and cut."""
    found = error.errors(include_url=False)
    first = found[0]
    place = ".".join(str(part) for part in first["loc"]) or "the answer"
    if first["type"] == "missing":
        text = f"{place} is missing"
    else:
        text = f"{place} is {_shown(first['input'])} ({first['msg'][:_SHOWN]})"
    return text if len(found) == 1 else f"{text}, and {len(found) - 1} more"


def _shown(value: Any) -> str:
    """A value that is safe to show: signed addresses are secrets, and an answer may be of any length."""
    if isinstance(value, Mapping | list | tuple):
        return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    if isinstance(value, str) and "://" in value:
        return "an address"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**_SHOWN:
        return "a number of very many digits"
    text = json.dumps(value, default=lambda other: type(other).__name__)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
