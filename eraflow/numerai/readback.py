"""What the tournament holds of a submission, downloaded again and compared with what was sent.

A file that was altered on its way and still is a valid submission passes every other check. Whether a server hands out
the very bytes is not promised anywhere, so other bytes with the same predictions are told and not called a fault.
"""

from __future__ import annotations

import csv
import io
import math
from functools import partial

from eraflow.numerai.answers import FileAuth, question
from eraflow.numerai.errors import TournamentError, UploadAlteredError
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.httpstream import open_whole, pieces

SAME, SAME_VALUES = "same", "same values"
# The query of numerapi's download_submission.
_AUTH = """
    query($id: String) {
        submissionDownloadAuth(id: $id) {
            filename
            url
        }
    }
"""
_TOLERANCE = 1e-7  # a server that keeps predictions in single precision holds the same ones
_MOST_TIMES = 4  # as large as what was sent; more is not read
_WHAT = "downloading the submission again"


def compared(graphql: GraphQLClient, submission_id: str, sent: bytes) -> str:
    """How what the tournament holds compares with what was sent.

    Returns:
        `SAME`, `SAME_VALUES`, or why it could not be compared. That is no fault: the submission is accepted.

    Raises:
        UploadAlteredError: the tournament holds other predictions.
    """
    policy = graphql.policy
    try:
        asked = question(_AUTH, "submissionDownloadAuth", FileAuth, {"id": submission_id}, key=True)
        auth: FileAuth = graphql.ask(_WHAT, asked, needs_key=True)
        held = policy.retry(_WHAT, partial(_fetched, graphql, auth.url, len(sent)))
    except TournamentError as error:
        return f"not compared: {error.problem}"
    if held == sent:
        return SAME
    theirs, ours = _predictions(held), _predictions(sent)
    if theirs is None or ours is None:
        return f"not compared: what is handed out ({len(held)} bytes) is no CSV with id and prediction"
    problem = _difference(theirs, ours)
    if problem is not None:
        raise UploadAlteredError(
            f"submission {submission_id} was accepted with other predictions than were sent: {problem}",
            "run again to send it anew; if it stays so, something on the way to the file server changes what is sent: "
            "try another network, and upload on the website meanwhile",
        )
    return SAME_VALUES


def _fetched(graphql: GraphQLClient, url: str, length: int) -> bytes:
    policy = graphql.policy
    until = policy.clock() + min(policy.transfer_seconds, policy.call_seconds + length / policy.least_rate)
    content = b""
    for piece in pieces("the submission", open_whole("the submission", url, policy, until), policy, until):
        content += piece
        if len(content) > _MOST_TIMES * length + 1024:
            break
    return content


def _predictions(content: bytes) -> dict[str, float] | None:
    """Prediction by id; one that is no number is NaN. None when it is no CSV with these two columns."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True)
        if not {"id", "prediction"} <= set(reader.fieldnames or ()):
            return None
        return {str(row["id"]): _number(row["prediction"]) for row in reader}
    except (UnicodeDecodeError, csv.Error):
        return None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _difference(theirs: dict[str, float], ours: dict[str, float]) -> str | None:
    if theirs.keys() != ours.keys():
        return f"{len(ours.keys() - theirs.keys())} of {len(ours)} ids are missing"
    other = [name for name, value in ours.items() if not abs(theirs[name] - value) <= _TOLERANCE]
    if not other:
        return None
    name = other[0]
    return f"{len(other)} of {len(ours)} differ, such as {name[:40]}: {theirs[name]:.10g} instead of {ours[name]:.10g}"
