"""Uploaded models as the API shows them: states, runs and logs; and the two small changes, assigning and triggering.

Names of fields are those of the schema as it was read in 2026: a trigger is one run of a model, `submissionId` what
came of it, `assignedModelSlots` the ids of slots that use it. What words a state may take is not promised anywhere, so
a state is judged by what its words hold (`succeeded`, `submission_succeeded`), failures first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from numerapi import NumerAPI

from eraflow.numerai.answers import question
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.pickleanswers import PickleLogLine, PickleRow, Slots, TriggerRow

_FAILED = re.compile(r"error|fail|reject|invalid|time[d_ ]*out|cancel", re.IGNORECASE)
_DONE = re.compile(r"succe(ss|ed)|complete|done|validated|passed|ready", re.IGNORECASE)
_NO_ROUND = re.compile(r"valid|diagnos", re.IGNORECASE)  # kinds of runs that are for no round
LOG_LINES = 12
LOG_CHARACTERS = 1_200

_FIELDS = """id filename validationStatus triggerStatus diagnosticsStatus diagnosticsId assignedModelSlots
    dockerImageName dataVersion insertedAt
    triggers { id type status insertedAt submissionId statuses { status description insertedAt } }"""
_OF_MODEL = f"query($modelId: ID) {{ computePickles(modelId: $modelId) {{ {_FIELDS} }} }}"
_BY_ID = f"query($id: ID) {{ computePickles(id: $id) {{ {_FIELDS} }} }}"
_ACTIVE = "query { account { models { id name tournament computePickleUpload { id filename validationStatus } } } }"
_LOGS = "query($triggerId: ID!) { triggerLogs(triggerId: $triggerId) { timestamp message } }"
_ASSIGN = """mutation($modelId: String, $pickleId: ID) {
    assignPickleToModel(modelId: $modelId, pickleId: $pickleId) }"""
_TRIGGER = """mutation($modelId: ID, $pickleId: ID) {
    triggerComputePickleUpload(modelId: $modelId, pickleId: $pickleId) { id } }"""


def failed(status: str) -> bool:
    """Whether a state says that something ended badly."""
    return bool(_FAILED.search(status))


def done(status: str) -> bool:
    """Whether a state says that something ended well."""
    return not failed(status) and bool(_DONE.search(status))


@dataclass(frozen=True)
class Trigger:
    """One run of a model.

    Attributes:
        id: of the run.
        status: as the API words it.
        inserted_at: when it was asked for (UTC); None when it is not told.
        submission_id: the submission that came of it.
        steps: its states so far, each with what is said of it, oldest first.
        for_round: False for one that validates or diagnoses.
    """

    id: str
    status: str
    inserted_at: datetime | None = None
    submission_id: str | None = None
    steps: tuple[tuple[str, str], ...] = ()
    for_round: bool = True


@dataclass(frozen=True)
class PickleState:
    """What the API says of one uploaded model.

    Attributes:
        id, filename: of the upload.
        validation, diagnostics: as the API words them; empty when it says nothing.
        diagnostics_id: of its diagnostics, when there are any.
        slots: ids of the model slots that use it.
        image, data_version: names of what it was uploaded for.
        inserted_at: when it was uploaded (UTC).
        triggers: its runs, the newest first.
    """

    id: str
    filename: str
    validation: str
    diagnostics: str = ""
    diagnostics_id: str | None = None
    slots: tuple[str, ...] = ()
    image: str = ""
    data_version: str = ""
    inserted_at: datetime | None = None
    triggers: tuple[Trigger, ...] = ()

    def run_since(self, opened: datetime) -> Trigger | None:
        """Its newest run for a round that opened then; None before there is one."""
        runs = (run for run in self.triggers if run.for_round and run.inserted_at is not None)
        return next((run for run in runs if run.inserted_at is not None and run.inserted_at >= opened), None)


@dataclass(frozen=True)
class ActivePickle:
    """The model that a slot runs."""

    id: str
    filename: str


def pickles_of(graphql: GraphQLClient, model_id: str) -> list[PickleState]:
    """The models that were uploaded for a slot, the newest first."""
    asked = question(_OF_MODEL, "computePickles", list[PickleRow | None] | None, {"modelId": model_id}, key=True)
    rows: list[PickleRow | None] = graphql.ask("listing the uploaded models", asked, needs_key=True) or []
    oldest = datetime.min.replace(tzinfo=UTC)
    found = [state_of(row) for row in rows if row is not None]
    return sorted(found, key=lambda state: state.inserted_at or oldest, reverse=True)


def by_id(pickle_id: str) -> Callable[[NumerAPI], PickleState | None]:
    """The question for one uploaded model; None where there is none of that id."""
    asked = question(_BY_ID, "computePickles", list[PickleRow | None] | None, {"id": pickle_id}, key=True)

    def ask(api: NumerAPI) -> PickleState | None:
        rows = asked(api) or []
        return next((state_of(row) for row in rows if row is not None and row.id == pickle_id), None)

    return ask


def active_pickle(graphql: GraphQLClient, model_id: str) -> ActivePickle | None:
    """The model that a slot runs, as the account tells it; None for a slot that takes predictions."""
    asked = question(_ACTIVE, "account", Slots, {}, key=True)
    slots: Slots = graphql.ask("looking what the slot runs", asked, needs_key=True)
    held = next((slot.held for slot in slots.models if slot is not None and slot.id == model_id), None)
    return None if held is None else ActivePickle(held.id, held.filename or "")


def assign(graphql: GraphQLClient, model_id: str, pickle_id: str | None) -> None:
    """Let a slot run an uploaded model, or none. To do it twice is the same as once."""
    variables = {"modelId": model_id, "pickleId": pickle_id}
    asked = question(_ASSIGN, "assignPickleToModel", object, variables, key=True)
    graphql.ask("assigning the model to its slot", asked, needs_key=True)


def trigger_question(model_id: str, pickle_id: str) -> Callable[[NumerAPI], object]:
    """The question that lets an uploaded model be run for the open round."""
    variables = {"modelId": model_id, "pickleId": pickle_id}
    return question(_TRIGGER, "triggerComputePickleUpload", object, variables, key=True)


def log_of(graphql: GraphQLClient, run: Trigger) -> list[str]:
    """The log of a run, with what its states say; oldest line first."""
    asked = question(_LOGS, "triggerLogs", list[PickleLogLine | None] | None, {"triggerId": run.id}, key=True)
    lines: list[PickleLogLine | None] = graphql.ask("reading the log of a run", asked, needs_key=True) or []
    said = [f"{status}: {text}" for status, text in run.steps if text]
    return [*(line.message.rstrip() for line in lines if line is not None and line.message), *said]


def end_of(lines: list[str]) -> str:
    """The end of a log for an error's one line."""
    text = " | ".join(line for line in lines[-LOG_LINES:] if line.strip())
    return text if len(text) <= LOG_CHARACTERS else f"...{text[-LOG_CHARACTERS:]}"


def state_of(row: PickleRow) -> PickleState:
    """A row of an answer as a state."""
    oldest = datetime.min.replace(tzinfo=UTC)
    runs = [_run_of(one) for one in row.triggers or () if one is not None]
    return PickleState(
        id=row.id,
        filename=row.filename or "",
        validation=row.validation or "pending",
        diagnostics=row.diagnostics or "",
        diagnostics_id=row.diagnostics_id or None,
        slots=tuple(slot for slot in row.slots or () if slot is not None),
        image=row.image or "",
        data_version=row.data_version or "",
        inserted_at=row.inserted_at,
        triggers=tuple(sorted(runs, key=lambda run: run.inserted_at or oldest, reverse=True)),
    )


def _run_of(row: TriggerRow) -> Trigger:
    steps = sorted(
        (step for step in row.statuses or () if step is not None),
        key=lambda step: step.inserted_at or datetime.min.replace(tzinfo=UTC),
    )
    return Trigger(
        row.id,
        row.status or "pending",
        row.inserted_at,
        row.submission_id or None,
        tuple((step.status or "", step.description or "") for step in steps),
        for_round=not _NO_ROUND.search(row.type or ""),
    )
