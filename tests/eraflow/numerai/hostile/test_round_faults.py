"""Rounds that open late, close early or pay otherwise, by a clock that may be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eraflow.numerai.errors import RoundClosedError
from eraflow.numerai.filecheck import verify_parquet
from tests.eraflow.numerai.hostile.conftest import ROUND, Hostile, fetch, submit


def test_a_round_that_opens_late_is_waited_for(server: Hostile) -> None:
    server.round(number=ROUND, opens_in=0.8)
    assert server.client().current_round() is None
    assert server.client().wait_for_round(wait_seconds=10, poll_seconds=0.2).number == ROUND
    assert any("waiting for a round to open" in line for line in server.lines)


def test_a_round_that_is_closed_is_named_and_nothing_is_sent(server: Hostile, csv: Path) -> None:
    server.round(state="closed", number=ROUND)
    before = len(server.received())
    with pytest.raises(RoundClosedError, match="no round is open"):
        server.client().wait_for_round(wait_seconds=0.3, poll_seconds=0.1)
    with pytest.raises(RoundClosedError):
        submit(server, csv)
    assert len(server.received()) == before


@pytest.mark.parametrize("fault", ["closes_after_live", "closes_after_put"])
def test_a_round_that_closes_early_is_named_and_nothing_is_filed(
    server: Hostile, csv: Path, tmp_path: Path, fault: str
) -> None:
    server.arm(**{fault: 1})
    before = len(server.received())
    assert server.client().wait_for_round(wait_seconds=1, poll_seconds=0.1).is_open
    fetch(server, tmp_path, "v5.3/live.parquet")
    with pytest.raises(RoundClosedError) as caught:
        submit(server, csv)
    assert "no round is open" in str(caught.value) or "closed before the upload was registered" in str(caught.value)
    assert len(server.received()) == before
    server.round(number=ROUND)
    assert submit(server, csv).accepted


def test_multipliers_are_those_of_the_round_that_is_submitted(server: Hostile, csv: Path, tmp_path: Path) -> None:
    server.arm(multipliers_double=1)
    client = server.client()
    assert client.wait_for_round(wait_seconds=1, poll_seconds=0.1).multipliers == {"corr60": 3.0, "mmc60": 15.0}
    client.download("v5.3/live.parquet", tmp_path / "live.parquet", verify_parquet)
    state = client.submit(csv, client.model_id(None), ROUND, confirm_seconds=10, replace=True)
    assert state.multipliers == {"corr60": 6.0, "mmc60": 30.0}
    assert state.as_dict()["multipliers"] == state.multipliers
    assert any("multipliers of round 1404 have changed" in line for line in server.warnings)
    server.round(number=ROUND + 1, multipliers={"corr60": 1.0})
    server.warnings.clear()
    found = client.current_round()
    assert found is not None
    assert found.multipliers == {"corr60": 1.0}  # another round pays otherwise: nothing has changed
    assert server.warnings == []


@pytest.mark.parametrize(("hours", "words"), [(1, "60 min behind"), (-1, "60 min ahead of")])
def test_rounds_are_judged_by_the_clock_of_the_server(server: Hostile, hours: int, words: str) -> None:
    """A minute after the opening, and half an hour before the end: this machine's clock would deny both."""
    server.arm(clock_offset=3600 * hours)
    server.round(number=ROUND, opens_in=-60, open_seconds=1800)
    client = server.client()
    found = client.wait_for_round(wait_seconds=0, poll_seconds=0.1)
    assert found.is_open
    assert not found.open_time < datetime.now(UTC) < found.close_time
    assert abs(client.clock_offset() - timedelta(hours=hours)) < timedelta(seconds=3)
    assert len(server.warnings) == 1
    assert words in server.warnings[0]
    assert "set the clock" in server.warnings[0]


def test_a_wrong_clock_does_not_stop_a_submission(server: Hostile, csv: Path) -> None:
    server.arm(clock_offset=-3600)
    server.round(number=ROUND, opens_in=-60, open_seconds=1800)
    assert submit(server, csv).accepted


def test_a_right_clock_is_not_talked_about(server: Hostile) -> None:
    client = server.client()
    assert client.clock_offset() == timedelta(0)
    assert server.warnings == []
