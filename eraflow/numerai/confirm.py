"""A registered submission, followed until the tournament has decided about it."""

from __future__ import annotations

import re

from eraflow.numerai.errors import (
    ApiRefusedError,
    NotConfirmedError,
    OddAnswerError,
    RoundClosedError,
    SubmissionRejectedError,
    TournamentError,
    UploadLostError,
)
from eraflow.numerai.graphql import NEWER, GraphQLClient
from eraflow.numerai.submission_state import SubmissionState, listing

_FIRST_LOOK_SECONDS = 0.3
_LONGEST_LOOK_SECONDS = 15.0
# How a tournament says that it has no file to judge.
_NOT_ARRIVED = re.compile(r"(file|upload|object|key)\b.{0,20}\b(not found|missing|empty)|no such (file|key)", re.I)


def confirmed(
    graphql: GraphQLClient, model_id: str, submission_id: str, round_number: int, confirm_seconds: float
) -> SubmissionState:
    """Follow a submission until it is accepted.

    Raises:
        UploadLostError: it was found faulty because its file is not there.
        SubmissionRejectedError: it was found faulty.
        NotConfirmedError: no decision within `confirm_seconds`.
        RoundClosedError: it was filed under another round.
    """
    policy = graphql.policy
    until = policy.clock() + confirm_seconds
    pause = _FIRST_LOOK_SECONDS
    while True:
        state = _look(graphql, model_id, submission_id)
        if isinstance(state, SubmissionState) and state.rejected:
            raise _rejected(state)
        if isinstance(state, SubmissionState) and state.accepted:
            return _in_its_round(state, round_number)
        left = until - policy.clock()
        if left <= 0:
            raise _not_confirmed(submission_id, state, confirm_seconds)
        policy.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)


def _rejected(state: SubmissionState) -> TournamentError:
    problem = f"submission {state.id} ended as {state.status}: {state.error or 'no reason given'}"
    if _NOT_ARRIVED.search(state.error or ""):
        return UploadLostError(
            f"{problem}; the file server had taken the upload", "run again; if it stays so, upload on the website"
        )
    return SubmissionRejectedError(
        problem, "compare the CSV with the live file of this round, write it anew and submit again"
    )


def _look(graphql: GraphQLClient, model_id: str, submission_id: str) -> SubmissionState | TournamentError | None:
    """The state of one submission; a passing error is returned, for it must not end the wait.

    Raises:
        NotConfirmedError: it can no longer be read; the submission is there all the same.
    """
    what = "reading the state of the submission"
    try:
        found = graphql.ask_once(what, listing(model_id), needs_key=True)
    except TournamentError as error:
        if not (error.passing or isinstance(error, ApiRefusedError)):
            problem = f"submission {submission_id} was sent, but its state can no longer be read: {error.problem}"
            raise NotConfirmedError(problem, error.remedy) from error
        graphql.policy.log(f"{what}: {error.problem}; looking again")
        return error
    state = next((state for state in found.states if state.id == submission_id), None)
    if state is None and found.odd:
        return OddAnswerError(f"{what}: the answer is not what was expected: {found.odd[0][0]}", NEWER)
    return state


def _not_confirmed(
    submission_id: str, state: SubmissionState | TournamentError | None, confirm_seconds: float
) -> NotConfirmedError:
    last = state.status if isinstance(state, SubmissionState) else "not known"
    cause = f" (last look: {state.problem})" if isinstance(state, TournamentError) else ""
    return NotConfirmedError(
        f"submission {submission_id} was sent, but not accepted within {confirm_seconds:g} s; its state: {last}{cause}",
        "look at it on the website, or run submit again: the same predictions are recognised and not sent twice",
    )


def _in_its_round(state: SubmissionState, round_number: int) -> SubmissionState:
    if state.round_number not in (None, round_number):
        raise RoundClosedError(
            f"submission {state.id} was meant for round {round_number}, but was filed under round {state.round_number}",
            "predict again on the live data of that round and submit: the newest submission counts",
        )
    return state
