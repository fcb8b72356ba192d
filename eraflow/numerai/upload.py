"""Sending a submission: uploaded, checked on arrival, registered once, and followed until the tournament has decided.

numerapi's `upload_predictions` looks at no answer of the PUT and returns an id before anything was validated. Here
the same three requests are made one by one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from numerapi import NumerAPI

from eraflow.disk.atomic import StorageError
from eraflow.numerai.answers import Created, FileAuth, question
from eraflow.numerai.confirm import confirmed
from eraflow.numerai.errors import (
    ApiRefusedError,
    DeadlineError,
    NotConfirmedError,
    OddAnswerError,
    RoundClosedError,
    TournamentError,
    UploadAlteredError,
    UploadLostError,
)
from eraflow.numerai.fileput import put_file
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.readback import SAME, compared
from eraflow.numerai.rounds import BETWEEN_ROUNDS, Round, closed_error
from eraflow.numerai.submission_state import SubmissionState, listing, submissions

# As in numerapi's _upload_auth and upload_predictions.
_AUTH = """
    query($filename: String!
          $tournament: Int!
          $modelId: String) {
        submission_upload_auth(filename: $filename
                               tournament: $tournament
                               modelId: $modelId) {
            filename
            url
        }
    }
"""
_CREATE = """
    mutation($filename: String!
             $tournament: Int!
             $modelId: String
             $triggerId: String,
             $dataDatestamp: Int) {
        create_submission(filename: $filename
                          tournament: $tournament
                          modelId: $modelId
                          triggerId: $triggerId
                          source: "numerapi"
                          dataDatestamp: $dataDatestamp) {
            id
        }
    }
"""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_PREFIX = 100


def submit(
    graphql: GraphQLClient,
    csv: Path,
    model_id: str,
    round_number: int,
    confirm_seconds: float,
    current: Round | None,
    now: datetime,
    *,
    replace_other: bool | Collection[str] = False,
    name: str = "",
) -> SubmissionState:
    """File `csv` for a model and wait until the tournament has accepted it.

    What was filed before, by whomever, is read back first: the same predictions are not filed twice, and others are
    kept unless they are to be replaced. The newest counts until the round closes.

    Args:
        graphql: the way to the API.
        csv: a checked submission.
        model_id: id of the model slot.
        round_number: the round whose live data was predicted.
        confirm_seconds: how long to wait for the decision.
        current: the current round, as just read.
        now: when it was read.
        replace_other: send although other predictions are filed for this round already: whichever, or only where the
            id of the submission is among these.
        name: begins the name under which the file is sent, such as that of its run. By what follows it, the round and
            a hash of the content, the same predictions are recognised, whatever name they were sent under.

    Returns:
        The state of what counts now. `already` when it was there before; then `ours` is False when it holds other
        predictions than `csv`.

    Raises:
        RoundClosedError: that round is not open or closed meanwhile (nothing was filed), or the upload was filed
            under another one.
        OddAnswerError: what was filed before cannot be read; nothing was filed.
        UploadRefusedError: the PUT was not answered with 2xx; nothing was filed.
        UploadLostError: the PUT was answered with 2xx, each time, and nothing arrived.
        UploadAlteredError: other predictions arrived, each time, and were accepted.
        ClockSkewError: the clocks of this machine and of the file server differ too much; nothing was filed.
        SubmissionRejectedError: the tournament found it faulty.
        NotConfirmedError: no decision in time, or no answer to the registration; the text names the submission.
    """
    content = _read(csv)
    stem = _stem(content, round_number)
    opened = current.open_time if current is not None and current.number == round_number else None
    before = filed_before(graphql, model_id, round_number, opened)
    if before is not None and stem in before.filename:
        found = _recognised(graphql, before, content, model_id, round_number, confirm_seconds)
        if found is not None:
            return found
    elif before is not None and not _may_replace(before, replace_other):
        return replace(before, already=True, ours=False)
    if current is None or current.number != round_number or not current.is_open:
        raise _not_this_round(graphql, round_number, current, now)
    state = _sent(graphql, content, f"{_prefix(name)}{stem}.csv", model_id, round_number, confirm_seconds)
    return replace(state, multipliers=dict(current.multipliers))


def _may_replace(before: SubmissionState, allowed: bool | Collection[str]) -> bool:
    return allowed if isinstance(allowed, bool) else before.id in allowed


def filed_before(
    graphql: GraphQLClient, model_id: str, round_number: int, opened: datetime | None
) -> SubmissionState | None:
    """The newest submission of the round that was not found faulty: it counts, whoever filed it."""

    def look() -> list[SubmissionState]:
        return graphql.ask_once("reading the submissions", listing(model_id), needs_key=True).of_round(
            round_number, opened
        )

    found = graphql.policy.retry("reading the submissions", look)
    return next((state for state in found if not state.rejected), None)


def _recognised(
    graphql: GraphQLClient,
    before: SubmissionState,
    content: bytes,
    model_id: str,
    round_number: int,
    confirm_seconds: float,
) -> SubmissionState | None:
    """These very predictions as they were filed before; None when they arrived altered and must be sent again."""
    graphql.policy.log(f"these predictions are already filed for round {round_number} as {before.id}")
    state = confirmed(graphql, model_id, before.id, round_number, confirm_seconds)
    try:
        return replace(state, already=True, compared=_compared(graphql, state.id, content))
    except UploadAlteredError as error:
        graphql.policy.log(f"{error.problem}; sending them again")
        return None


def _sent(
    graphql: GraphQLClient, content: bytes, filename: str, model_id: str, round_number: int, confirm_seconds: float
) -> SubmissionState:
    """Upload, register, follow and compare; all of it again when the upload turns out not to have arrived as sent."""
    policy = graphql.policy
    for attempt in range(1, policy.attempts + 1):
        stored = _uploaded(graphql, content, filename, model_id)
        submission_id = _register(graphql, stored, model_id, round_number)
        try:
            return _followed(graphql, content, submission_id, model_id, round_number, confirm_seconds)
        except UploadLostError as error:
            if attempt == policy.attempts:
                raise error.after(attempt) from error
            policy.pause("submitting", attempt, error)
    raise ValueError(f"attempts must be at least 1, found {policy.attempts}")


def _followed(
    graphql: GraphQLClient, content: bytes, submission_id: str, model_id: str, round_number: int, confirm_seconds: float
) -> SubmissionState:
    """What became of a registered submission. Whatever fails here that nobody foresaw, it may be accepted."""
    try:
        state = confirmed(graphql, model_id, submission_id, round_number, confirm_seconds)
        return replace(state, compared=_compared(graphql, submission_id, content))
    except TournamentError:
        raise
    except Exception as error:
        raise NotConfirmedError(
            f"submission {submission_id} was sent; whether it is accepted is not known ({type(error).__name__})",
            "look at it on the website, or run again: the same predictions are recognised and not sent twice",
        ) from error


def _compared(graphql: GraphQLClient, submission_id: str, content: bytes) -> str:
    found = compared(graphql, submission_id, content)
    if found != SAME:
        graphql.policy.log(f"submission {submission_id} against what was sent: {found}")
    return found


def _uploaded(graphql: GraphQLClient, content: bytes, filename: str, model_id: str) -> str:
    """The name under which the server keeps the content."""
    asked = question(_AUTH, "submission_upload_auth", FileAuth, {"filename": filename, "modelId": model_id}, key=True)
    ask: Callable[[], FileAuth] = partial(graphql.ask_once, "asking where to upload", asked, needs_key=True)
    return put_file(graphql, "uploading the submission", ask, content, filename)


def _read(csv: Path) -> bytes:
    try:
        return csv.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {csv}: {error.strerror}", "write the submission first") from error


def _stem(content: bytes, round_number: int) -> str:
    return f"eraflow-{round_number}-{hashlib.sha256(content).hexdigest()[:12]}"


def _prefix(name: str) -> str:
    """What stands before the stem: only what every file server takes for a part of a name."""
    plain = _NOT_IN_NAMES.sub("-", name)[:_LONGEST_PREFIX].lstrip(".")
    return f"{plain}_" if plain else ""


def _not_this_round(
    graphql: GraphQLClient, round_number: int, current: Round | None, now: datetime
) -> RoundClosedError:
    if current is not None and current.is_open:
        return RoundClosedError(
            f"these predictions are for round {round_number}, the open round is {current.number}",
            "predict again on the live data of the open round; nothing was sent",
        )
    return closed_error(graphql, current, now)


def _register(graphql: GraphQLClient, filename: str, model_id: str, round_number: int) -> str:
    """Create the submission; its id. When the answer is lost it is looked for before it is asked again."""
    what = "registering the submission"

    def ask() -> Created:
        created: Created = graphql.ask_once(what, _create(filename, model_id), needs_key=True)
        return created

    return graphql.policy.once(
        what,
        ask,
        lambda _: _arrived(graphql, filename, model_id, round_number),
        lambda error, attempt: _not_registered(error, attempt, filename, round_number),
    ).id


def _arrived(graphql: GraphQLClient, filename: str, model_id: str, round_number: int) -> SubmissionState | None:
    try:
        found = submissions(graphql, model_id).of_round(round_number)
        return next((state for state in found if state.filename == filename), None)
    except TournamentError as error:
        raise _unknown(filename, error.problem) from error


def _not_registered(error: TournamentError, attempt: int, filename: str, round_number: int) -> TournamentError:
    """The error for a registration that failed and of which nothing is to be seen."""
    if isinstance(error, ApiRefusedError) and BETWEEN_ROUNDS.search(error.problem):
        return RoundClosedError(
            f"round {round_number} closed before the upload was registered; nothing was submitted ({error.problem})",
            "run again when the next round opens; start earlier after the opening, or train less (fewer folds, models)",
        )
    # The request is still on its way, or was taken by a server that is silent or talks nonsense.
    if isinstance(error, DeadlineError | OddAnswerError):
        return _unknown(filename, error.problem)
    return error.after(attempt)


def _unknown(filename: str, problem: str) -> NotConfirmedError:
    return NotConfirmedError(
        f"{filename} was sent; whether it was registered is not known ({problem})",
        "run again: the same predictions are recognised and not sent twice",
    )


def _create(filename: str, model_id: str) -> Callable[[NumerAPI], Created]:
    variables = {"filename": filename, "modelId": model_id, "triggerId": None, "dataDatestamp": None}
    return question(_CREATE, "create_submission", Created, variables, key=True)
