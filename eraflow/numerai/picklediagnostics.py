"""The diagnostics that Numerai makes of an uploaded model: its scores on the validation eras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eraflow.data.eralabels import WIDTH
from eraflow.numerai.answers import question
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.pickleanswers import DiagnosticsRow
from eraflow.numerai.pickles import PickleState, by_id, done, failed

_ASK = """query($id: ID, $modelId: ID) { diagnostics(id: $id, modelId: $modelId) {
    id status message trainedOnVal validationCorrMean validationCorrV4Mean
    perEraDiagnostics { era validationCorr validationCorrV4 } } }"""
_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Diagnostics:
    """Scores of an uploaded model.

    Attributes:
        id: of the diagnostics.
        status: as the API words it.
        message: what it says of them; empty when nothing.
        mean: mean CORR over the eras; None when it is not told.
        eras: CORR by era, labels as in the data (`0575`); empty when they are not told.
        trained_on_validation: whether Numerai holds that the model has learnt from these eras; None when it does not
            say.
    """

    id: str
    status: str
    message: str = ""
    mean: float | None = None
    eras: Mapping[str, float] = field(default_factory=dict)
    trained_on_validation: bool | None = None

    @property
    def is_done(self) -> bool:
        """Whether there are scores."""
        return done(self.status) and (self.mean is not None or bool(self.eras))

    @property
    def is_failed(self) -> bool:
        """Whether there will be none."""
        return failed(self.status)


def diagnostics_of(
    graphql: GraphQLClient, model_id: str, state: PickleState, seconds: float = 0.0
) -> Diagnostics | None:
    """The diagnostics of an uploaded model, as far as they have come; None where none were begun.

    Args:
        graphql: the way to the API.
        model_id: the slot that it was uploaded for.
        state: the upload.
        seconds: how long to wait for those that are being made.
    """
    policy = graphql.policy
    until = policy.clock() + seconds
    while True:
        now: PickleState | None = graphql.ask("reading the state of the model", by_id(state.id), needs_key=True)
        found = None if now is None or now.diagnostics_id is None else _read(graphql, model_id, now.diagnostics_id)
        ended = found is not None and (found.is_done or found.is_failed)
        begun = now is not None and (now.diagnostics_id is not None or bool(now.diagnostics))
        left = until - policy.clock()
        if ended or left <= 0 or not begun:
            return found
        policy.sleep(min(_LOOK_SECONDS, left))


def _read(graphql: GraphQLClient, model_id: str, identifier: str) -> Diagnostics | None:
    variables = {"id": identifier, "modelId": model_id}
    asked = question(_ASK, "diagnostics", list[DiagnosticsRow | None] | None, variables, key=True)
    rows: list[DiagnosticsRow | None] = graphql.ask("reading the diagnostics", asked, needs_key=True) or []
    row = next((row for row in rows if row is not None and row.id == identifier), None)
    return None if row is None else _told(row)


def _told(row: DiagnosticsRow) -> Diagnostics:
    eras: dict[str, Any] = {
        one.era.zfill(WIDTH): one.corr if one.corr_v4 is None else one.corr_v4 for one in row.eras or () if one
    }
    return Diagnostics(
        row.id,
        row.status or "pending",
        row.message or "",
        row.corr_mean if row.corr_v4_mean is None else row.corr_v4_mean,
        {era: value for era, value in eras.items() if value is not None},
        row.trained_on_val,
    )
