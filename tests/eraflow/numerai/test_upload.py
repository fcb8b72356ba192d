from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from eraflow.disk.atomic import StorageError
from eraflow.numerai.errors import (
    ApiRefusedError,
    DeadlineError,
    NotConfirmedError,
    RoundClosedError,
    ServerFaultError,
    SubmissionRejectedError,
    UploadAlteredError,
    UploadRefusedError,
    WrongKeyError,
)
from tests.eraflow.numerai.conftest import connect
from tests.eraflow.numerai.stubserver import DROP, HANG, FakeTime, Stub, round_row


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "submission.csv"
    path.write_bytes(b"id,prediction\nn1,0.2500000000\nn2,0.7500000000\n")
    return path


def test_a_submission_is_sent_and_followed_until_accepted(stub: Stub, time: FakeTime, csv: Path) -> None:
    state = connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert (state.id, state.status, state.accepted, state.selected) == ("sub-1", "success", True, True)
    assert (state.round_number, state.error, state.already) == (1404, None, False)
    digest = hashlib.sha256(csv.read_bytes()).hexdigest()
    assert list(stub.uploads.items()) == [(f"eraflow-1404-{digest[:12]}-1.csv", csv.read_bytes())]
    assert json.dumps(state.as_dict())


def test_the_same_predictions_are_not_sent_twice(stub: Stub, time: FakeTime, csv: Path) -> None:
    tournament = connect(stub, time)
    first = tournament.submit(csv, "model-1", 1404, 60)
    again = tournament.submit(csv, "model-1", 1404, 60)
    assert (again.id, again.already, stub.asked["PUT"], stub.asked["create_submission"]) == (first.id, True, 1, 1)
    stub.no_round = True  # recognised even when the round has closed meanwhile
    assert tournament.submit(csv, "model-1", 1404, 60).already is True
    stub.no_round = False
    csv.write_bytes(csv.read_bytes().replace(b"0.25", b"0.26"))
    kept = tournament.submit(csv, "model-1", 1404, 60)
    assert (kept.id, kept.already, kept.ours, stub.asked["PUT"]) == ("sub-1", True, False, 1)
    other = tournament.submit(csv, "model-1", 1404, 60, replace=True)
    assert (other.id, other.already, other.ours) == ("sub-2", False, True)


@pytest.mark.parametrize("round_told", [True, False])
def test_what_somebody_else_sent_for_the_round_is_kept_unless_it_is_to_be_replaced(
    stub: Stub, time: FakeTime, csv: Path, round_told: bool
) -> None:
    """The newest one counts: another computer, or a hand on the website, may have sent it since."""
    tournament = connect(stub, time)
    tournament.submit(csv, "model-1", 1404, 60)
    stub._create_submission({"filename": "by-hand.csv"})
    stub.submissions[-1]["at"] = datetime.now(UTC)
    if not round_told:
        original = stub._submissions
        stub._submissions = lambda _: [{**row, "round": None} for row in original(_)]  # type: ignore[method-assign]
    kept = tournament.submit(csv, "model-1", 1404, 60)
    assert (kept.id, kept.filename, kept.ours) == ("sub-2", "by-hand.csv", False)
    assert tournament.submit(csv, "model-1", 1404, 60, replace=True).id == "sub-3"


def test_what_was_sent_for_another_round_or_found_faulty_hinders_nothing(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.filed_under = 1403
    stub._create_submission({"filename": "last-week.csv"})
    stub.filed_under = None
    assert connect(stub, time).submit(csv, "model-1", 1404, 60).id == "sub-2"


def test_other_bytes_of_a_valid_form_are_noticed_and_sent_again(stub: Stub, time: FakeTime, csv: Path) -> None:
    looks = iter([lambda content: content.replace(b"0.2500000000", b"0.2600000000")])
    stub.hold = lambda content: next(looks, lambda same: same)(content)
    state = connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert (state.id, state.compared, stub.asked["PUT"]) == ("sub-2", "same", 2)


def test_bytes_that_are_always_altered_are_named(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.hold = lambda content: content.replace(b"n1,0.2500000000\n", b"")
    with pytest.raises(UploadAlteredError, match=r"sub-3 was accepted with other predictions.*1 of 2 ids") as caught:
        connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert caught.value.may_have_arrived


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (b"id,prediction\r\nn2,0.75\r\nn1,0.25\r\n", "same values"),
        (b"id,prediction,rank\nn2,0.75000001,2\nn1,0.25,1\n", "same values"),
        (b"PAR1 something else", "no CSV with id and prediction"),
    ],
)
def test_a_server_that_keeps_them_in_another_form_is_no_fault(
    stub: Stub, time: FakeTime, csv: Path, held: bytes, says: str
) -> None:
    stub.hold = lambda _: held
    state = connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert (state.accepted, stub.asked["PUT"]) == (True, 1)
    assert says in state.compared


def test_a_server_that_hands_nothing_out_is_no_fault(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.fail("submissionDownloadAuth", {"errors": [{"message": "not your submission"}]})
    state = connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert state.accepted
    assert "not your submission" in state.compared


def test_a_closed_round_is_refused_before_anything_is_sent(stub: Stub, time: FakeTime, csv: Path) -> None:
    tournament = connect(stub, time)
    stub.no_round = True
    with pytest.raises(RoundClosedError, match="no round is open"):
        tournament.submit(csv, "model-1", 1404, 60)
    stub.no_round, stub.rounds = False, [round_row(1405)]
    with pytest.raises(RoundClosedError, match=r"are for round 1404, the open round is 1405.*nothing was sent"):
        tournament.submit(csv, "model-1", 1404, 60)
    assert stub.asked["submission_upload_auth"] == stub.asked["PUT"] == stub.asked["create_submission"] == 0


def test_a_403_on_the_put_is_named_and_nothing_is_filed(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.fail("PUT", 403, 403, 403)
    with pytest.raises(UploadRefusedError, match=r"403 .*nothing was submitted.*attempt 2 of 2") as caught:
        connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert stub.asked["create_submission"] == 0
    assert stub.asked["PUT"] == 2
    assert "sig-secret" not in str(caught.value)


@pytest.mark.parametrize("refused", [[403], [400], [503, 403, 503]])
def test_a_refused_address_is_asked_for_once_more(stub: Stub, time: FakeTime, csv: Path, refused: list[int]) -> None:
    stub.fail("PUT", *refused)
    assert connect(stub, time, attempts=2).submit(csv, "model-1", 1404, 60).accepted
    assert stub.asked["submission_upload_auth"] == stub.asked["PUT"] == len(refused) + 1


def test_a_put_that_fails_for_a_passing_reason_is_repeated(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.fail("PUT", 503, DROP)
    assert connect(stub, time).submit(csv, "model-1", 1404, 60).accepted
    assert (stub.asked["PUT"], stub.asked["create_submission"]) == (3, 1)
    stub.fail("PUT", *[500] * 9)
    csv.write_bytes(csv.read_bytes() + b"n3,0.5000000000\n")
    with pytest.raises(UploadRefusedError, match=r"500 .*attempt 3 of 3"):
        connect(stub, time).submit(csv, "model-1", 1404, 60, replace=True)
    assert stub.asked["create_submission"] == 1


def test_an_answer_that_is_lost_does_not_file_twice(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.forget_answer = 1
    lines: list[str] = []
    state = connect(stub, time, log=lines.append).submit(csv, "model-1", 1404, 60)
    assert (state.id, stub.asked["create_submission"]) == ("sub-1", 1)
    assert any("it had arrived, as sub-1" in line for line in lines)


def test_a_registration_that_did_not_arrive_is_repeated(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.fail("create_submission", 502, DROP)
    assert connect(stub, time).submit(csv, "model-1", 1404, 60).id == "sub-1"
    assert stub.asked["create_submission"] == 3
    csv.write_bytes(csv.read_bytes() + b"n3,0.5000000000\n")
    stub.fail("create_submission", *[502] * 9)
    with pytest.raises(ServerFaultError, match=r"registering .*attempt 3 of 3"):
        connect(stub, time).submit(csv, "model-1", 1404, 60, replace=True)


def test_a_refused_registration_carries_the_message(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.fail("create_submission", {"errors": [{"message": "model has an active pickle"}]})
    with pytest.raises(ApiRefusedError, match="active pickle"):
        connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert stub.asked["create_submission"] == 1


def test_a_registration_of_which_nothing_is_known_is_told_as_such(stub: Stub, time: FakeTime, csv: Path) -> None:
    """The answer is lost, and nobody can say whether it arrived: it must not count as not sent."""
    stub.forget_answer = 1
    stub.fail("submissions", {"data": {"submissions": []}}, *[500] * 3)
    with pytest.raises(NotConfirmedError, match="whether it was registered is not known") as caught:
        connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert caught.value.may_have_arrived
    assert connect(stub, time).submit(csv, "model-1", 1404, 60).already
    assert len(stub.submissions) == 1


def test_a_silent_registration_may_still_arrive(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.fail("create_submission", HANG)
    with pytest.raises(NotConfirmedError, match="whether it was registered is not known"):
        connect(stub, time, call_seconds=0.3, attempts=1).submit(csv, "model-1", 1404, 60)


def test_a_deadline_before_the_registration_is_none_of_a_submission(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.fail("submission_upload_auth", HANG)
    with pytest.raises(DeadlineError) as caught:
        connect(stub, time, call_seconds=0.3, attempts=1).submit(csv, "model-1", 1404, 60)
    assert not caught.value.may_have_arrived


def test_a_key_that_is_withdrawn_while_we_wait_leaves_the_submission_told(
    stub: Stub, time: FakeTime, csv: Path
) -> None:
    stub.fail("submissions", {"data": {"submissions": []}}, 401)
    with pytest.raises(NotConfirmedError, match=r"sub-1 was sent.*does not accept the API key"):
        connect(stub, time).submit(csv, "model-1", 1404, 60)


@pytest.mark.parametrize("word", ["error", "failed", "Failed"])
def test_a_faulty_submission_is_named_with_the_reason(stub: Stub, time: FakeTime, csv: Path, word: str) -> None:
    stub.states, stub.error_info = ["pending", word], "invalid_submission_ids: Not enough stocks"
    stub._submissions = lambda _: [  # type: ignore[method-assign]
        {**row, "errorInfo": stub.error_info} for row in Stub._submissions(stub, _)
    ]
    with pytest.raises(SubmissionRejectedError, match=f"sub-1 ended as {word}: invalid_submission_ids"):
        connect(stub, time).submit(csv, "model-1", 1404, 60)


def test_a_rejected_submission_may_be_sent_again(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.states = ["failed"]
    with pytest.raises(SubmissionRejectedError):
        connect(stub, time).submit(csv, "model-1", 1404, 60)
    with pytest.raises(SubmissionRejectedError, match="sub-2"):
        connect(stub, time).submit(csv, "model-1", 1404, 60)


def test_no_decision_in_time_names_the_submission(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.states = ["pending", "validating"]
    with pytest.raises(DeadlineError, match=r"submission sub-1 was sent, but not accepted within 60 s.*validating"):
        connect(stub, time).submit(csv, "model-1", 1404, 60)
    assert sum(time.pauses) == pytest.approx(60)
    stub.states = ["success"]
    assert connect(stub, time).submit(csv, "model-1", 1404, 60).already is True


def test_a_server_that_fails_while_we_wait_is_asked_again(stub: Stub, time: FakeTime, csv: Path) -> None:
    original, looks = stub.answer, [0]

    def answer(operation: str, variables: dict[str, Any]) -> Any:
        if operation == "submissions":
            looks[0] += 1
            if looks[0] == 1:
                stub.fail("submissions", 500, DROP)
        return original(operation, variables)

    stub.answer = answer  # type: ignore[method-assign]
    assert connect(stub, time).submit(csv, "model-1", 1404, 60).accepted
    assert stub.asked["submissions"] == 6
    stub.fail("submissions", 401)
    with pytest.raises(WrongKeyError):
        connect(stub, time).submissions("model-1")


def test_an_upload_filed_under_another_round_is_told(stub: Stub, time: FakeTime, csv: Path) -> None:
    stub.filed_under = 1405
    with pytest.raises(RoundClosedError, match="sub-1 was meant for round 1404, but was filed under round 1405"):
        connect(stub, time).submit(csv, "model-1", 1404, 60)


def test_a_missing_csv_is_named(stub: Stub, time: FakeTime, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*none.csv"):
        connect(stub, time).submit(tmp_path / "none.csv", "model-1", 1404, 60)


def test_submissions_come_newest_first(stub: Stub, time: FakeTime) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        stub._create_submission({"filename": name})
    assert [state.filename for state in connect(stub, time).submissions("model-1")] == ["c.csv", "b.csv", "a.csv"]
