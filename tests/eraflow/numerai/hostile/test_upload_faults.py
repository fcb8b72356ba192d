"""An upload that fails goes through and is filed once, or ends in the error that names it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from eraflow.numerai.errors import (
    ClockSkewError,
    OddAnswerError,
    SubmissionRejectedError,
    TournamentError,
    UploadAlteredError,
    UploadFaultError,
    UploadLostError,
    UploadRefusedError,
    WrongKeyError,
)
from eraflow.sandbox.faults import LASTING
from tests.eraflow.numerai.hostile.conftest import ROUND, Hostile, submit


@pytest.mark.parametrize("fault", ["put_500", "put_reset", "put_lost", "put_403", "put_altered"])
def test_an_upload_that_fails_once_is_repeated(server: Hostile, csv: Path, fault: str) -> None:
    before = len([row for row in server.received() if row["status"] == "success"])
    server.arm(**{fault: 1})
    state = submit(server, csv)
    assert (state.accepted, state.selected, state.already, state.compared) == (True, True, False, "same")
    found = [row for row in server.received() if row["status"] == "success"]
    assert len(found) == before + (2 if fault == "put_altered" else 1)
    assert found[-1]["sha256"] == hashlib.sha256(csv.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("put_403", UploadRefusedError),
        ("put_500", UploadFaultError),
        ("put_reset", TournamentError),
        ("put_lost", UploadLostError),
        ("put_skewed", ClockSkewError),
        ("validation_fails", SubmissionRejectedError),
        ("wrong_key", WrongKeyError),
    ],
)
def test_an_upload_that_always_fails_is_named_and_goes_through_afterwards(
    server: Hostile, csv: Path, fault: str, error: type[TournamentError]
) -> None:
    before = len([row for row in server.received() if row["status"] == "success"])
    server.arm(**{fault: LASTING})
    with pytest.raises(error) as caught:
        submit(server, csv, attempts=2)
    assert not caught.value.may_have_arrived
    assert "Signature" not in str(caught.value)
    assert len([row for row in server.received() if row["status"] == "success"]) == before
    server.arm(**{fault: 0})
    assert submit(server, csv).accepted


def test_an_upload_that_is_always_altered_is_named(server: Hostile, csv: Path) -> None:
    server.arm(put_altered=LASTING)
    with pytest.raises(UploadAlteredError, match=r"1 of 40 differ.*attempt 2 of 2") as caught:
        submit(server, csv, attempts=2)
    assert caught.value.may_have_arrived
    server.arm(put_altered=0)
    again = submit(server, csv)  # recognised by its name, seen to be altered, sent again
    assert (again.already, again.compared) == (False, "same")


def test_odd_states_are_looked_at_again_and_a_refused_download_is_no_fault(server: Hostile, csv: Path) -> None:
    server.arm(readback_refused=1)
    client = server.client()
    model = client.model_id(None)
    state = client.submit(csv, model, ROUND, 10, replace=True)
    assert state.accepted
    assert "switched off" in state.compared
    server.arm(submissions_odd=LASTING)
    with pytest.raises(OddAnswerError, match=r"submissions\.\d+\.insertedAt is 20261121"):
        client.submit(csv, model, ROUND, 10, replace=True)


def test_a_refused_clock_says_to_set_it(server: Hostile, csv: Path) -> None:
    server.arm(put_skewed=1)
    with pytest.raises(ClockSkewError, match=r"RequestTimeTooSkewed.*set the clock of this machine"):
        submit(server, csv)


@pytest.mark.parametrize(("fault", "filed"), [("create_lost", 1), ("create_refused", 1), ("create_twice", 2)])
def test_a_submission_is_filed_once_whatever_is_answered(server: Hostile, csv: Path, fault: str, filed: int) -> None:
    before = len(server.received())
    server.arm(**{fault: 1})
    state = submit(server, csv)
    assert state.accepted
    again = submit(server, csv)
    assert (again.accepted, again.already) == (True, True)
    assert len(server.received()) == before + filed
