"""What passes is asked again after growing pauses, so many times and within a deadline."""

from __future__ import annotations

import pytest

from eraflow.numerai.errors import DeadlineError, ServerFaultError
from eraflow.numerai.retry import RetryPolicy
from tests.eraflow.numerai.conftest import connect
from tests.eraflow.numerai.stubserver import DROP, HANG, FakeTime, Stub


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_passing_failure_is_repeated(stub: Stub, time: FakeTime, status: int) -> None:
    stub.fail("listDatasets", status, status)
    stub.files = {"v5.3/features.json": b"{}", "v4/old.json": b"{}"}
    assert connect(stub, time).list_files("v5.3") == ["v5.3/features.json"]
    assert stub.asked["listDatasets"] == 3
    assert time.pauses == [2.0, 2.0]  # Retry-After: 2 is more than the jittered 0.5 and 1.0


def test_a_broken_connection_is_repeated_with_growing_pauses(stub: Stub, time: FakeTime) -> None:
    stub.fail("listDatasets", DROP, DROP, DROP)
    assert connect(stub, time, attempts=4).list_files() == []
    assert time.pauses == [0.5, 1.0, 2.0]


def test_a_server_that_keeps_failing_is_named_after_all_attempts(stub: Stub, time: FakeTime) -> None:
    stub.fail("listDatasets", *[502] * 9)
    with pytest.raises(ServerFaultError, match=r"502 .*attempt 3 of 3") as caught:
        connect(stub, time).list_files()
    assert stub.asked["listDatasets"] == 3
    assert caught.value.remedy


def test_a_call_that_hangs_ends_at_its_deadline(stub: Stub, time: FakeTime) -> None:
    stub.fail("account", HANG, HANG)
    with pytest.raises(DeadlineError, match=r"within 0.2 s.*attempt 2 of 2"):
        connect(stub, time, call_seconds=0.2, attempts=2).models()


def test_back_off_is_full_jitter_under_a_ceiling() -> None:
    policy = RetryPolicy(jitter=lambda: 1.0)
    assert [policy.pause_seconds(attempt) for attempt in (1, 2, 3, 7, 500)] == [1, 2, 4, 60, 60]
    assert RetryPolicy(jitter=lambda: 0.0).pause_seconds(9) == 0
    assert RetryPolicy(jitter=lambda: 0.0).pause_seconds(1, asked=5) == 5
    assert RetryPolicy(jitter=lambda: 0.0).pause_seconds(1, asked=99999) == 60
