"""The offset of this machine's clock from the server's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from eraflow.numerai.client import Tournament
from eraflow.numerai.graphql import Endpoint
from tests.eraflow.numerai.conftest import connect
from tests.eraflow.numerai.stubserver import FakeTime, Stub


@pytest.mark.parametrize("offset", [timedelta(hours=1), timedelta(hours=-1), timedelta(seconds=20), timedelta(0)])
def test_the_offset_of_the_clocks_is_measured_once_and_told_when_it_matters(
    stub: Stub, time: FakeTime, offset: timedelta
) -> None:
    warned: list[str] = []
    # The server's clock is right; this machine's is wrong by the opposite.
    tournament = connect(stub, time, now=lambda: datetime.now(UTC) - offset, warn=warned.append)
    for _ in range(3):
        assert abs(tournament.clock_offset() - offset) < timedelta(seconds=2)
        found = tournament.current_round()
        assert found is not None
        assert found.is_open
    assert len(warned) == (1 if abs(offset) > timedelta(minutes=1) else 0)
    assert stub.asked["HEAD"] == 1
    time.now += 601
    tournament.clock_offset()
    assert stub.asked["HEAD"] == 2


def test_a_clock_that_is_set_in_mid_week_is_noticed_at_once(stub: Stub, time: FakeTime) -> None:
    wrong = [timedelta(0)]
    tournament = connect(stub, time, now=lambda: datetime.now(UTC) - wrong[0], warn=lambda _: None)
    for each in (timedelta(0), timedelta(hours=5), timedelta(days=-3), timedelta(0)):
        wrong[0] = each
        assert abs(tournament.clock_offset() - each) < timedelta(seconds=2)


def test_a_server_that_does_not_tell_the_time_is_not_asked_for_long(time: FakeTime) -> None:
    lines: list[str] = []
    tournament = Tournament(Endpoint("http://127.0.0.1:9"), clock=time.clock, log=lines.append)
    assert tournament.clock_offset() == timedelta(0)
    assert any("clock could not be read" in line for line in lines)
