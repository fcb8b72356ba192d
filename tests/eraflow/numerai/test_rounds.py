"""The round of now, none between rounds, and the wait for the next one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from eraflow.numerai.errors import ApiRefusedError, RoundClosedError, ServerFaultError, WrongKeyError
from tests.eraflow.numerai.conftest import connect
from tests.eraflow.numerai.stubserver import FakeTime, Stub, round_row


def test_the_round_is_read_with_its_multipliers(stub: Stub, time: FakeTime) -> None:
    found = connect(stub, time).current_round()
    assert found is not None
    assert (found.number, found.is_open, found.target) == (1404, True, "ender_60")
    assert found.multipliers == {"corr60": 3.0, "mmc60": 15.0}
    assert found.payout_clip == 1.0
    assert found.payout_factor == pytest.approx(0.1234)
    assert found.data_datestamp == 20261121
    assert found.open_time.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "fault",
    [
        {"errors": [{"message": "Current round not open for submissions"}]},
        {"data": {"rounds": []}},
    ],
)
def test_between_rounds_there_is_no_round(stub: Stub, time: FakeTime, fault: dict) -> None:
    stub.fail("rounds", fault)
    assert connect(stub, time).current_round() is None


def test_a_null_round_is_no_round(stub: Stub, time: FakeTime) -> None:
    stub.rounds = [None]
    assert connect(stub, time).current_round() is None


def test_another_refusal_is_not_taken_for_between_rounds(stub: Stub, time: FakeTime) -> None:
    stub.fail("rounds", {"errors": [{"message": "Cannot query field payoutFactor on type Round"}]})
    with pytest.raises(ApiRefusedError, match="Cannot query field payoutFactor"):
        connect(stub, time).current_round()


def test_waiting_for_a_round_polls_and_says_so(stub: Stub, time: FakeTime) -> None:
    closed = {"errors": [{"message": "Current round not open for submissions"}]}
    stub.upcoming = [round_row(1406, timedelta(hours=30)), round_row(1405, timedelta(hours=6))]
    opening = stub.upcoming[1]["openTime"][:16].replace("T", " ")
    polls = 0
    original = stub.answer

    def answer(operation: str, variables: dict[str, Any]) -> Any:
        nonlocal polls
        if operation == "rounds" and variables.get("status") is None:
            polls += 1
            if polls <= 40:
                raise LookupError(closed["errors"][0]["message"])
        return original(operation, variables)

    stub.answer = answer  # type: ignore[method-assign]
    lines: list[str] = []
    found = connect(stub, time, log=lines.append).wait_for_round(3600, 60)
    assert found.number == 1404
    assert time.pauses == [60.0] * 40
    assert 4 <= len(lines) <= 5  # at first, then every ten minutes
    assert opening in lines[0]


def test_a_round_that_does_not_open_in_time(stub: Stub, time: FakeTime) -> None:
    stub.no_round = True
    stub.upcoming = [round_row(1405, timedelta(hours=6))]
    with pytest.raises(RoundClosedError, match=r"no round is open; the next one opens at 20.*waited 2 min"):
        connect(stub, time).wait_for_round(150, 60)
    assert time.pauses == [60.0, 60.0, 30.0]


def test_a_round_not_yet_open_and_one_already_closed(stub: Stub, time: FakeTime) -> None:
    stub.rounds = [round_row(1404, timedelta(hours=1))]
    with pytest.raises(RoundClosedError, match="round 1404 is not open yet; it opens at"):
        connect(stub, time).wait_for_round(0, 60)
    stub.rounds = [round_row(1404, timedelta(hours=-9))]
    with pytest.raises(RoundClosedError, match=r"round 1404 closed at .*does not tell"):
        connect(stub, time).wait_for_round(0, 60)


def test_the_next_opening_may_stay_unknown(stub: Stub, time: FakeTime) -> None:
    stub.fail(
        "rounds",
        {"errors": [{"message": "Current round not open for submissions"}]},
        {"errors": [{"message": "unknown argument status"}]},
    )
    with pytest.raises(RoundClosedError, match=r"not known .*unknown argument status"):
        connect(stub, time).wait_for_round(0, 60)


def test_waiting_survives_a_server_that_is_down_for_a_while(stub: Stub, time: FakeTime) -> None:
    stub.fail("rounds", *[500] * 5)
    assert connect(stub, time).wait_for_round(600, 60).number == 1404
    stub.fail("rounds", *[500] * 99)
    with pytest.raises(ServerFaultError, match="waited 10 min"):
        connect(stub, time).wait_for_round(600, 60)
    stub.fail("rounds", 403)
    with pytest.raises(WrongKeyError):
        connect(stub, time).wait_for_round(600, 60)
