"""The state of submissions, read back from the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from numerapi import NumerAPI
from numerapi.utils import parse_datetime_string

from eraflow.tournament.wire import Wire

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
        already: True when these very predictions were there before, and nothing was sent.
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
    multipliers: dict[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; the time in ISO 8601."""
        moment = None if self.inserted_at is None else self.inserted_at.isoformat()
        return {**asdict(self), "inserted_at": moment}

    @property
    def accepted(self) -> bool:
        """Validated: it will be scored."""
        return self.status.lower() in ACCEPTED_STATES

    @property
    def rejected(self) -> bool:
        """Found faulty: it will not be scored."""
        return self.status.lower() in REJECTED_STATES


def submissions(wire: Wire, model_id: str) -> list[SubmissionState]:
    """All submissions of a model, the newest first."""
    rows = wire.ask("reading the submissions", partial(read_rows, model_id), needs_key=True)
    return states_of(rows)


def read_rows(model_id: str, api: NumerAPI) -> list[Mapping[str, Any]]:
    """The rows of a model's submissions, as the API gives them."""
    rows = api.raw_query(_SUBMISSIONS, {"modelId": model_id}, authorization=True)["data"]["submissions"]
    return [row for row in rows or [] if row]


def states_of(rows: Sequence[Mapping[str, Any]]) -> list[SubmissionState]:
    """The states in such rows, the newest first."""
    states = [_state(row) for row in rows]
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(states, key=lambda state: state.inserted_at or oldest, reverse=True)


def _state(row: Mapping[str, Any]) -> SubmissionState:
    number = (row.get("round") or {}).get("number")
    return SubmissionState(
        id=str(row["id"]),
        status=str(row.get("status") or "pending"),
        error=row.get("errorInfo") or None,
        round_number=None if number is None else int(number),
        selected=bool(row.get("selected")),
        inserted_at=_moment(row.get("insertedAt")),
        filename=str(row.get("filename") or ""),
    )


def _moment(text: Any) -> datetime | None:
    moment: datetime | None = parse_datetime_string(str(text)) if text else None
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
