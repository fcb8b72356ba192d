"""What can go wrong with an uploaded model, each with a name. Base and rules are those of `eraflow.numerai.errors`."""

from __future__ import annotations

from eraflow.numerai.errors import OverallDeadlineError, TournamentError


class NotOfferedError(TournamentError):
    """Numerai offers no image for this Python, or no such data version. The text lists what it offers."""

    code = "not_offered"
    exit_code = 2


class PickleRejectedError(TournamentError):
    """Numerai has validated the uploaded model and found it faulty. The text holds the end of its log."""

    code = "pickle_rejected"


class PickleRunFailedError(TournamentError):
    """Numerai has run the uploaded model for the round, and the run failed. The text holds the end of its log."""

    code = "pickle_run_failed"


class PickleNotReadyError(OverallDeadlineError):
    """The model was uploaded, but Numerai has not finished with it in time. Run again: the upload is recognised."""

    code = "pickle_not_ready"
    may_have_arrived = True


class PickleNotAssignedError(TournamentError):
    """The model was uploaded and validated, but the slot does not hold it. Run again: it is not uploaded twice."""

    code = "pickle_not_assigned"
    may_have_arrived = True


class SlotHoldsPickleError(TournamentError):
    """The slot holds an uploaded model, which Numerai runs itself: such a slot takes no predictions."""

    code = "slot_holds_pickle"
    exit_code = 2


class SlotSentPredictionsError(TournamentError):
    """Predictions are filed for this slot and round: a model is not uploaded to a slot that is served otherwise."""

    code = "slot_sent_predictions"
    exit_code = 2


class ForeignPickleError(TournamentError):
    """The slot holds no model that was uploaded from this home. Nothing was triggered."""

    code = "foreign_pickle"
    exit_code = 2
