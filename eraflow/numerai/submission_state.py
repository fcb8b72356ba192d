"""The state of submissions, read back from the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from numerapi import NumerAPI
from pydantic import ValidationError

from eraflow.numerai.answers import SubmissionRow, oddity, question
from eraflow.numerai.errors import OddAnswerError
from eraflow.numerai.graphql import NEWER, GraphQLClient

ACCEPTED_STATES = frozenset({"success", "succeeded", "accepted", "complete", "completed"})
REJECTED_STATES = frozenset({"error", "failed", "failure", "rejected", "invalid"})

_SUBMISSIONS = """
    query($modelId: String) {
        submissions(modelId: $modelId) {
            id
            filename
            status
            errorInfo
            selected
            insertedAt
            round {
                number
            }
        }
    }
"""


@dataclass(frozen=True)
class SubmissionState:
    """What the tournament says of one submission.

    Attributes:
        id: of the submission.
        status: as the API words it: pending, running, validating, success; error, failed.
        error: its reason when it is faulty.
        round_number: the round it was filed under, None while not known.
        selected: whether it is the one that counts for its model and round.
        inserted_at: when it was filed (UTC).
        filename: the name it was filed under.
        already: True when a submission of this round was there before, and nothing was sent.
        ours: False when that one holds other predictions than those that were to be sent.
        compared: what was downloaded again and compared with what was sent: `same`, `same values` (other bytes), or why
            it could not be compared; empty when it was not sent by us.
        multipliers: what the round paid when this was sent: name of each paid score -> multiplier; None when not known.
    """

    id: str
    status: str
    error: str | None = None
    round_number: int | None = None
    selected: bool = False
    inserted_at: datetime | None = None
    filename: str = ""
    already: bool = False
    ours: bool = True
    compared: str = ""
    multipliers: dict[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; the time in ISO 8601."""
        moment = None if self.inserted_at is None else self.inserted_at.isoformat()
        return {**asdict(self), "inserted_at": moment}

    @property
    def accepted(self) -> bool:
        """Validated: it will be scored."""
        return self.status.strip().lower() in ACCEPTED_STATES

    @property
    def rejected(self) -> bool:
        """Found faulty: it will not be scored."""
        return self.status.strip().lower() in REJECTED_STATES


def kept_in_words(state: SubmissionState, round_number: int) -> str:
    """What is said of another submission that was there before, and was kept."""
    moment = "" if state.inserted_at is None else f", filed {state.inserted_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"another submission for this slot and round {round_number} is there already "
        f"({state.id}, {state.filename[:80] or 'no name'}, {state.status}{moment}) and was kept; "
        "--set submit.replace=true replaces it"
    )


@dataclass(frozen=True)
class Listing:
    """The submissions of a model.

    Attributes:
        states: those that could be read, the newest first.
        odd: what is odd about each of the others, with its round where that can be read.
    """

    states: list[SubmissionState]
    odd: list[tuple[str, int | None]]

    def of_round(self, number: int, opened: datetime | None = None) -> list[SubmissionState]:
        """Those of one round, the newest first. One that no round is told of yet belongs to it by its name or time.

        Raises:
            OddAnswerError: one of them cannot be read, so nobody can say what was sent.
        """
        unreadable = [text for text, of in self.odd if of in (None, number)]
        if unreadable:
            raise OddAnswerError(
                f"reading the submissions: the answer is not what was expected: {unreadable[0]}", NEWER
            )
        return [state for state in self.states if _belongs(state, number, opened)]


def _belongs(state: SubmissionState, number: int, opened: datetime | None) -> bool:
    if state.round_number is not None:
        return state.round_number == number
    since = opened is not None and state.inserted_at is not None and state.inserted_at >= opened
    return since or state.filename.startswith(f"eraflow-{number}-")


def submissions(graphql: GraphQLClient, model_id: str) -> Listing:
    """All submissions of a model."""
    return graphql.ask("reading the submissions", listing(model_id), needs_key=True)


def listing(model_id: str) -> Callable[[NumerAPI], Listing]:
    """The question for the submissions of a model. A row that cannot be read does not hide the others."""
    rows = question(_SUBMISSIONS, "submissions", list[Any] | None, {"modelId": model_id}, key=True)
    return lambda api: _read(rows(api) or [])


def _read(rows: Sequence[Any]) -> Listing:
    states, odd = [], []
    for place, row in enumerate(rows):
        if row is None:
            continue
        try:
            states.append(_state(SubmissionRow.model_validate(row)))
        except ValidationError as error:
            odd.append((f"submissions.{place}.{oddity(error)}", _round_of(row)))
    oldest = datetime.min.replace(tzinfo=UTC)
    return Listing(sorted(states, key=lambda state: state.inserted_at or oldest, reverse=True), odd)


def _round_of(row: Any) -> int | None:
    """The round of a row that is odd elsewhere."""
    told = row.get("round") if isinstance(row, Mapping) else None
    number = told.get("number") if isinstance(told, Mapping) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _state(row: SubmissionRow) -> SubmissionState:
    return SubmissionState(
        id=row.id,
        status=row.status or "pending",
        error=row.error or None,
        round_number=row.round.number if row.round else None,
        selected=bool(row.selected),
        inserted_at=row.inserted_at,
        filename=row.filename or "",
    )
