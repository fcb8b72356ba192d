"""What the API answers about uploaded models, field by field; the rules are those of `eraflow.numerai.answers`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, WrapValidator

from eraflow.numerai.answers import Answer, Figure, Id, Moment, SubmissionRow, Text, or_none, reason_text

MaybeText = Annotated[str | None, BeforeValidator(reason_text)]
MaybeMoment = Annotated[Moment | None, WrapValidator(or_none)]


class StepRow(Answer):
    """A state that a run has come to."""

    status: Text | None = None
    description: MaybeText = None
    inserted_at: MaybeMoment = Field(None, alias="insertedAt")


class TriggerRow(Answer):
    """A run of an uploaded model."""

    id: Id
    type: MaybeText = None
    status: Text | None = None
    inserted_at: Moment | None = Field(None, alias="insertedAt")
    submission_id: Id | None = Field(None, alias="submissionId")
    statuses: list[StepRow | None] | None = None


class PickleRow(Answer):
    """An uploaded model."""

    id: Id
    filename: Annotated[str, Field(strict=True)] | None = None
    validation: Text | None = Field(None, alias="validationStatus")
    trigger: Text | None = Field(None, alias="triggerStatus")
    diagnostics: Text | None = Field(None, alias="diagnosticsStatus")
    diagnostics_id: Id | None = Field(None, alias="diagnosticsId")
    slots: list[Id | None] | None = Field(None, alias="assignedModelSlots")
    image: Text | None = Field(None, alias="dockerImageName")
    data_version: Text | None = Field(None, alias="dataVersion")
    inserted_at: Moment | None = Field(None, alias="insertedAt")
    triggers: list[TriggerRow | None] | None = None


class HeldRow(Answer):
    """The uploaded model that a slot runs."""

    id: Id
    filename: Annotated[str, Field(strict=True)] | None = None


class SlotRow(Answer):
    """A model slot, and what it runs."""

    id: Id
    held: HeldRow | None = Field(None, alias="computePickleUpload")


class Slots(Answer):
    """The slots of the account."""

    models: list[SlotRow | None]


class RoutedRow(SubmissionRow):
    """A submission, and the run of an uploaded model that it came of; None: somebody filed predictions."""

    trigger_id: Id | None = Field(None, alias="triggerId")


class OfferRow(Answer):
    """An image or a data version that is offered."""

    id: Id
    name: Text
    image: MaybeText = None
    deprecated: StrictBool | None = None


class PickleLogLine(Answer):
    """A line of the log of a run."""

    timestamp: Any = None
    message: MaybeText = None


class EraDiagnosticsRow(Answer):
    """The scores of one era; CORR is `validationCorrV4` where that is there."""

    era: Id
    corr_v4: Annotated[Figure | None, WrapValidator(or_none)] = Field(None, alias="validationCorrV4")
    corr: Annotated[Figure | None, WrapValidator(or_none)] = Field(None, alias="validationCorr")


class DiagnosticsRow(Answer):
    """The diagnostics of an uploaded model."""

    id: Id
    status: Text | None = None
    message: MaybeText = None
    trained_on_val: StrictBool | None = Field(None, alias="trainedOnVal")
    corr_v4_mean: Annotated[Figure | None, WrapValidator(or_none)] = Field(None, alias="validationCorrV4Mean")
    corr_mean: Annotated[Figure | None, WrapValidator(or_none)] = Field(None, alias="validationCorrMean")
    eras: list[EraDiagnosticsRow | None] | None = Field(None, alias="perEraDiagnostics")
