"""A model delivered to a slot: uploaded, validated, assigned, run for the round, and what came of it read back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from eraflow.numerai.confirm import confirmed
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.picklefollow import Follower, Show
from eraflow.numerai.pickles import PickleState, Trigger
from eraflow.numerai.pickleupload import WantedUpload, uploaded
from eraflow.numerai.slotroute import check_takes_model
from eraflow.numerai.submission_state import SubmissionState


@dataclass(frozen=True)
class Waits:
    """How long to wait.

    Attributes:
        model_seconds: for the validation of a model, and again for its run.
        confirm_seconds: for the acceptance of what it predicted.
    """

    model_seconds: float
    confirm_seconds: float


@dataclass(frozen=True)
class RoundToServe:
    """A round: its number, and when it opened (UTC)."""

    number: int
    opened: datetime


@dataclass(frozen=True)
class DeliveredModel:
    """What became of a model.

    Attributes:
        pickle: the upload, as it was last read.
        run: its run for the round; None where no round is open, so that Numerai runs it when the next one opens.
        submission: what the run has filed; None where the API names none.
    """

    pickle: PickleState
    run: Trigger | None
    submission: SubmissionState | None

    def as_state(self, round_number: int) -> SubmissionState:
        """The same as the state of a submission, for the record of a run."""
        if self.submission is not None:
            return replace(self.submission, filename=self.pickle.filename, compared="")
        status = "assigned" if self.run is None else self.run.status
        moment = self.pickle.inserted_at if self.run is None else self.run.inserted_at
        return SubmissionState(
            self.pickle.id,
            status,
            round_number=round_number,
            selected=True,
            inserted_at=moment,
            filename=self.pickle.filename,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; times in ISO 8601."""
        pickle, run = asdict(self.pickle), None if self.run is None else asdict(self.run)
        pickle.pop("triggers")
        for row in (pickle, run):
            if row is not None and row["inserted_at"] is not None:
                row["inserted_at"] = row["inserted_at"].isoformat()
        submission = None if self.submission is None else self.submission.as_dict()
        return {"pickle": pickle, "run": run, "submission": submission}


def delivered(
    graphql: GraphQLClient,
    wanted: WantedUpload,
    model_id: str,
    round_now: RoundToServe | None,
    waits: Waits,
    show: Show,
    *,
    replace_predictions: bool = False,
) -> DeliveredModel:
    """Upload a model, unless it is there, and follow it to the end of its run for the round.

    Args:
        graphql: the way to the API.
        wanted: which bytes, for which image and data version.
        model_id: the slot.
        round_now: the open round; None: it is assigned and not triggered.
        waits: how long to wait.
        show: is told each change of a state.
        replace_predictions: although predictions are filed for this slot and round.

    Raises:
        SlotSentPredictionsError: they are, and are not to be replaced; nothing was uploaded.
        TournamentError: as `uploaded` and `Follower` say.
    """
    if round_now is not None and not replace_predictions:
        check_takes_model(graphql, model_id, round_now.number)
    state = uploaded(graphql, wanted, model_id)
    show("upload", "registered", state.id)
    follower = Follower(graphql, model_id, state.id, waits.model_seconds, show)
    state = follower.validated()
    follower.assigned()
    return _run(graphql, follower, state, round_now, waits)


def followed(
    graphql: GraphQLClient, pickle_id: str, model_id: str, round_now: RoundToServe, waits: Waits, show: Show
) -> DeliveredModel:
    """Follow the model that a slot runs already through its run for the round; Numerai or we trigger it.

    Raises:
        TournamentError: as `Follower` says.
    """
    follower = Follower(graphql, model_id, pickle_id, waits.model_seconds, show)
    return _run(graphql, follower, follower.validated(), round_now, waits)


def _run(
    graphql: GraphQLClient, follower: Follower, state: PickleState, round_now: RoundToServe | None, waits: Waits
) -> DeliveredModel:
    if round_now is None:
        return DeliveredModel(state, None, None)
    run = follower.run_in_round(round_now.opened)
    if run.submission_id is None:
        graphql.policy.log("the run is done; the API does not name the submission that it has filed")
        return DeliveredModel(state, run, None)
    submission = confirmed(graphql, follower.model_id, run.submission_id, round_now.number, waits.confirm_seconds)
    follower.show("submission", submission.status, submission.id)
    return DeliveredModel(state, run, submission)
