"""An API that fails is asked again, or ends in the error that names it."""

from __future__ import annotations

import time

import pytest

from eraflow.numerai.errors import DeadlineError, ServerFaultError
from eraflow.sandbox.faults import LASTING
from tests.eraflow.numerai.hostile.conftest import NAME, Hostile


@pytest.mark.parametrize("fault", ["server_500", "api_html", "api_502", "api_429"])
def test_an_api_that_fails_for_a_while_is_asked_again(server: Hostile, fault: str) -> None:
    server.arm(**{fault: 2})
    assert NAME in server.client().list_files()
    assert len(server.pauses) == 2
    if fault == "api_429":
        assert server.pauses == [1.0, 1.0]  # Retry-After: 1, twice


@pytest.mark.parametrize(
    ("fault", "says"), [("server_500", "500"), ("api_html", "not JSON"), ("api_502", "502"), ("api_429", "429")]
)
def test_an_api_that_keeps_failing_is_named(server: Hostile, fault: str, says: str) -> None:
    server.arm(**{fault: LASTING})
    with pytest.raises(ServerFaultError, match=rf"{says}.*attempt 2 of 2"):
        server.client(attempts=2).list_files()


def test_an_api_without_an_answer_ends_at_the_deadline(server: Hostile) -> None:
    server.arm(api_hang=1)
    assert NAME in server.client(call_seconds=0.4).list_files()
    server.arm(api_hang=LASTING)
    started = time.monotonic()
    with pytest.raises(DeadlineError, match=r"no answer within 0\.4 s"):
        server.client(call_seconds=0.4, attempts=2).list_files()
    assert time.monotonic() - started < 3
