"""Calls of the API through numerapi: refusals have names, and nothing of numerapi is changed for others."""

from __future__ import annotations

import io
import logging
import threading
from typing import Any

import pytest
from numerapi import base_api

from eraflow.numerai.errors import AddressError, ApiRefusedError, DeadlineError, ServerFaultError, WrongKeyError
from eraflow.numerai.graphql import Endpoint
from tests.eraflow.numerai.conftest import connect
from tests.eraflow.numerai.stubserver import HANG, FakeTime, Stub, stub_server


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_fails_at_once(stub: Stub, time: FakeTime, status: int) -> None:
    stub.fail("account", status, status, status)
    with pytest.raises(WrongKeyError, match=str(status)):
        connect(stub, time).models()
    assert stub.asked["account"] == 1
    assert time.pauses == []


def test_a_key_refused_in_words_is_a_wrong_key_too(stub: Stub, time: FakeTime) -> None:
    stub.fail("account", {"errors": [{"message": "Your session is invalid or has expired."}]})
    with pytest.raises(WrongKeyError, match="session is invalid"):
        connect(stub, time).models()


def test_a_graphql_error_carries_the_message_and_is_not_repeated(stub: Stub, time: FakeTime) -> None:
    stub.fail("listDatasets", {"errors": [{"message": "the moon is full"}]})
    with pytest.raises(ApiRefusedError, match="the moon is full"):
        connect(stub, time).list_files()
    assert stub.asked["listDatasets"] == 1


@pytest.mark.parametrize(
    "answer", [b"<html>a proxy's page</html>", b"", {"data": None}, {"data": {}}, {}, {"data": {"account": None}}]
)
def test_an_unreadable_answer_is_a_fault_of_the_server(stub: Stub, time: FakeTime, answer: Any) -> None:
    stub.fail("account", *[answer] * 3)
    with pytest.raises(ServerFaultError):
        connect(stub, time).models()


def test_an_address_without_an_api(stub: Stub, time: FakeTime) -> None:
    stub.fail("account", 404)
    with pytest.raises(AddressError, match="404"):
        connect(stub, time).models()
    with pytest.raises(AddressError):
        Endpoint("numerai")
    with pytest.raises(AddressError):
        Endpoint("https://id:key@host")


def test_an_error_in_the_log_alone_is_not_needed_when_logging_is_off(stub: Stub, time: FakeTime) -> None:
    logger = logging.getLogger("numerapi.utils")
    before = logger.level
    stub.fail("account", 401)
    try:
        logger.setLevel(logging.CRITICAL)
        logger.disabled = True
        with pytest.raises(WrongKeyError):
            connect(stub, time).models()
    finally:
        logger.setLevel(before)
        logger.disabled = False


def test_two_clients_at_once_keep_to_their_own_server(time: FakeTime) -> None:
    with stub_server() as one, stub_server() as two:
        one.files, two.files = {"v1/a.json": b""}, {"v2/b.json": b""}
        one.fail("account", HANG)  # a call that hangs for one must not hold up or divert the other

        def hang() -> None:
            with pytest.raises(DeadlineError):
                connect(one, FakeTime(), call_seconds=1, attempts=1).models()

        hanging = threading.Thread(target=hang)
        hanging.start()
        seen: dict[str, list[str]] = {"one": [], "two": []}

        def ask(key: str, stub: Stub) -> None:
            client = connect(stub, FakeTime())
            seen[key] = [name for _ in range(10) for name in client.list_files()]

        threads = [threading.Thread(target=ask, args=pair) for pair in (("one", one), ("two", two))]
        for thread in [*threads]:
            thread.start()
        for thread in [*threads, hanging]:
            thread.join()
        assert seen == {"one": ["v1/a.json"] * 10, "two": ["v2/b.json"] * 10}
    assert base_api.API_TOURNAMENT_URL == "https://api-tournament.numer.ai"


def test_the_root_logger_stays_as_it_was(stub: Stub, time: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])  # as in a program that has not set up logging
    level = root.level
    connect(stub, time).models()
    assert (root.handlers, root.level) == ([], level)


def test_other_users_of_numerapi_are_left_alone(stub: Stub, time: FakeTime) -> None:
    tournament = connect(stub, time)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("numerapi.utils")
    logger.addHandler(handler)
    try:
        stub.fail("account", 500)
        tournament.models()
        assert stream.getvalue() == ""  # ours are named errors, not log lines
        logger.error("somebody else's")
        assert "somebody else's" in stream.getvalue()
    finally:
        logger.removeHandler(handler)
