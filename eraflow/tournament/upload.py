"""A submission on its way: sent, checked on arrival, registered once, and followed until the tournament has decided.

numerapi's `upload_predictions` looks at no answer of the PUT and returns an id before anything was validated. Here
the same three requests are made one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import requests
from numerapi import NumerAPI

from eraflow.store.atomic import StorageError
from eraflow.tournament.api_errors import (
    CHECK_NETWORK,
    OverallDeadlineError,
    RoundClosedError,
    ServerDownError,
    SubmissionRejectedError,
    TournamentError,
    UploadFaultError,
    UploadRefusedError,
)
from eraflow.tournament.faults import PASSING_STATUS, reason, retry_after
from eraflow.tournament.patience import within
from eraflow.tournament.rounds import Round, closed_error
from eraflow.tournament.submission_state import SubmissionState, read_rows, states_of, submissions
from eraflow.tournament.wire import Wire

_FIRST_LOOK_SECONDS = 1.0
_LONGEST_LOOK_SECONDS = 15.0

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


def submission_name(csv: Path, round_number: int) -> str:
    """The name a CSV is filed under; it tells the round and the content, so that it is recognised later."""
    return f"{_stem(csv.read_bytes(), round_number)}.csv"


def submit(
    wire: Wire,
    csv: Path,
    model_id: str,
    round_number: int,
    confirm_seconds: float,
    current: Round | None,
    now: datetime,
) -> SubmissionState:
    """File `csv` for a model and wait until the tournament has accepted it.

    Args:
        wire: the way to the API.
        csv: a checked submission.
        model_id: id of the model slot.
        round_number: the round whose live data was predicted.
        confirm_seconds: how long to wait for the decision.
        current: the current round, as just read.
        now: when it was read.

    Raises:
        RoundClosedError: that round is not open (nothing was sent), or the upload was filed under another one.
        UploadRefusedError: the PUT was not answered with 2xx; nothing was filed.
        SubmissionRejectedError: the tournament found it faulty.
        OverallDeadlineError: no decision in time; the text names the submission.
    """
    content = _read(csv)
    stem = _stem(content, round_number)
    mine = _newest_is(stem, submissions(wire, model_id), round_number)
    if mine is not None and not mine.rejected:
        wire.patience.log(f"these predictions are already filed for round {round_number} as {mine.id}")
        return replace(_confirmed(wire, model_id, mine.id, round_number, confirm_seconds), already=True)
    if current is None or current.number != round_number or not current.is_open:
        raise _not_this_round(wire, round_number, current, now)
    filename = wire.patience.retry("uploading the submission", partial(_put, wire, content, f"{stem}.csv", model_id))
    submission_id = _register(wire, filename, model_id, round_number)
    return _confirmed(wire, model_id, submission_id, round_number, confirm_seconds)


def _read(csv: Path) -> bytes:
    try:
        return csv.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {csv}: {error.strerror}", "write the submission first") from error


def _stem(content: bytes, round_number: int) -> str:
    return f"eraflow-{round_number}-{hashlib.sha256(content).hexdigest()[:12]}"


def _not_this_round(wire: Wire, round_number: int, current: Round | None, now: datetime) -> RoundClosedError:
    if current is not None and current.is_open:
        return RoundClosedError(
            f"these predictions are for round {round_number}, the open round is {current.number}",
            "predict again on the live data of the open round; nothing was sent",
        )
    return closed_error(wire, current, now)


def _put(wire: Wire, content: bytes, filename: str, model_id: str) -> str:
    """Upload the content; the name under which the server keeps it."""
    auth = wire.ask_once("asking where to upload", partial(_ask_auth, filename, model_id), needs_key=True)
    patience = wire.patience
    work = partial(requests.put, auth["url"], data=content, timeout=patience.call_seconds, verify=True)
    try:
        response = within(patience.transfer_seconds, "uploading the submission", work)
    except requests.RequestException as error:
        raise ServerDownError(f"uploading the submission: no connection: {reason(error)}", CHECK_NETWORK) from None
    if not 200 <= response.status_code < 300:
        status = f"{response.status_code} {response.reason or ''}".strip()
        kind = UploadFaultError if response.status_code in PASSING_STATUS else UploadRefusedError
        refusal = kind(
            f"the file server answered the upload of {filename} with {status}; nothing was submitted",
            "run again; if it stays so, check the clock of this machine and the rights of the API key",
        )
        refusal.retry_after = retry_after(response)
        raise refusal
    return str(auth["filename"])


def _ask_auth(filename: str, model_id: str, api: NumerAPI) -> Mapping[str, Any]:
    arguments = {"filename": filename, "tournament": api.tournament_id, "modelId": model_id}
    auth: Mapping[str, Any] = api.raw_query(_AUTH, arguments, authorization=True)["data"]["submission_upload_auth"]
    return {"filename": auth["filename"], "url": auth["url"]}


def _register(wire: Wire, filename: str, model_id: str, round_number: int) -> str:
    """Create the submission; its id.

    When the answer is lost the request may have arrived all the same: before it is repeated, we look.
    """
    patience = wire.patience
    what = "registering the submission"
    for attempt in range(1, patience.attempts + 1):
        try:
            return wire.ask_once(what, partial(_create, filename, model_id), needs_key=True)
        except TournamentError as error:
            if not error.passing:
                raise
            patience.pause(what, attempt, error)
            arrived = _by_filename(filename, submissions(wire, model_id), round_number)
            if arrived is not None:
                patience.log(f"{what}: it had arrived, as {arrived.id}")
                return arrived.id
            if attempt == patience.attempts:
                raise error.after(attempt) from error
    raise ValueError(f"attempts must be at least 1, found {patience.attempts}")


def _create(filename: str, model_id: str, api: NumerAPI) -> str:
    arguments = {
        "filename": filename,
        "tournament": api.tournament_id,
        "modelId": model_id,
        "triggerId": None,
        "dataDatestamp": None,
    }
    return str(api.raw_query(_CREATE, arguments, authorization=True)["data"]["create_submission"]["id"])


def _confirmed(
    wire: Wire, model_id: str, submission_id: str, round_number: int, confirm_seconds: float
) -> SubmissionState:
    """Follow a submission until it is accepted."""
    patience = wire.patience
    until = patience.clock() + confirm_seconds
    pause = _FIRST_LOOK_SECONDS
    while True:
        state = _look(wire, model_id, submission_id)
        if isinstance(state, SubmissionState) and state.rejected:
            raise SubmissionRejectedError(
                f"submission {submission_id} ended as {state.status}: {state.error or 'no reason given'}",
                "compare the CSV with the live file of this round, write it anew and submit again",
            )
        if isinstance(state, SubmissionState) and state.accepted:
            return _in_its_round(state, round_number)
        left = until - patience.clock()
        if left <= 0:
            raise _not_confirmed(submission_id, state, confirm_seconds)
        patience.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)


def _look(wire: Wire, model_id: str, submission_id: str) -> SubmissionState | TournamentError | None:
    """The state of one submission; a passing error is returned, for it must not end the wait."""
    what = "reading the state of the submission"
    try:
        rows = wire.ask_once(what, partial(read_rows, model_id), needs_key=True)
    except TournamentError as error:
        if not error.passing:
            raise
        wire.patience.log(f"{what}: {error.problem}; looking again")
        return error
    return next((state for state in states_of(rows) if state.id == submission_id), None)


def _not_confirmed(
    submission_id: str, state: SubmissionState | TournamentError | None, confirm_seconds: float
) -> OverallDeadlineError:
    last = state.status if isinstance(state, SubmissionState) else "not known"
    cause = f" (last look: {state.problem})" if isinstance(state, TournamentError) else ""
    return OverallDeadlineError(
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


def _newest_is(stem: str, states: Sequence[SubmissionState], round_number: int) -> SubmissionState | None:
    """The newest submission of a round, when it is ours: the newest is the one that counts."""
    of_round = [state for state in states if state.round_number == round_number]
    return of_round[0] if of_round and stem in of_round[0].filename else None


def _by_filename(filename: str, states: Sequence[SubmissionState], round_number: int) -> SubmissionState | None:
    return next((s for s in states if s.filename == filename and s.round_number in (None, round_number)), None)
