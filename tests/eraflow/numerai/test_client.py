from __future__ import annotations

import io
import json
import logging
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from numerapi import base_api

from eraflow.numerai.client import Tournament
from eraflow.numerai.errornames import retry_after
from eraflow.numerai.errors import (
    AddressError,
    ApiRefusedError,
    DeadlineError,
    NoSuchModelError,
    RoundClosedError,
    ServerDownError,
    ServerFaultError,
    TournamentError,
    WrongKeyError,
)
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.retry import RetryPolicy
from tests.eraflow.numerai.stubserver import DROP, HANG, PUBLIC, SECRET, FakeTime, Stub, round_row, stub_server


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stub_server() as running:
        yield running


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def connect(stub: Stub, time: FakeTime, **options: Any) -> Tournament:
    endpoint = options.pop("endpoint", Endpoint(stub.url, PUBLIC, SECRET))
    settings = {"call_seconds": 5, "transfer_seconds": 60, "attempts": 3, "clock": time.clock, "jitter": lambda: 0.5}
    return Tournament(endpoint, sleep=time.sleep, **{**settings, **options})


def test_the_round_is_read_with_its_multipliers(stub: Stub, time: FakeTime) -> None:
    found = connect(stub, time).current_round()
    assert found is not None
    assert (found.number, found.is_open, found.target) == (1404, True, "ender_60")
    assert found.multipliers == {"corr60": 3.0, "mmc60": 15.0}
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


def test_a_server_that_is_down_is_named(time: FakeTime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    tournament = Tournament(Endpoint(url), attempts=2, sleep=time.sleep, clock=time.clock)
    with pytest.raises(ServerDownError, match=r"cannot reach .*Connection refused"):
        tournament.current_round()
    assert len(time.pauses) == 1


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


def test_a_call_that_hangs_ends_at_its_deadline(stub: Stub, time: FakeTime) -> None:
    stub.fail("account", HANG, HANG)
    with pytest.raises(DeadlineError, match=r"within 0.2 s.*attempt 2 of 2"):
        connect(stub, time, call_seconds=0.2, attempts=2).models()


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


def test_the_given_key_is_used_and_never_a_foreign_one(
    stub: Stub, time: FakeTime, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / ".env").write_text("NUMERAI_PUBLIC_ID=foreign\nNUMERAI_SECRET_KEY=foreign\nERAFLOW_LEAK=1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMERAI_PUBLIC_ID", "foreign")
    monkeypatch.setenv("NUMERAI_SECRET_KEY", "foreign")
    connect(stub, time).models()
    assert stub.headers[-1]["authorization"] == f"Token {PUBLIC}${SECRET}"
    for endpoint in (Endpoint(stub.url), Endpoint(stub.url, PUBLIC, None)):
        with pytest.raises(WrongKeyError, match="no API key was given"):
            connect(stub, time, endpoint=endpoint).models()
    assert stub.asked["account"] == 1
    assert "ERAFLOW_LEAK" not in os.environ


def test_the_secret_is_in_no_text(stub: Stub, time: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []
    tournament = connect(stub, time, log=lines.append)
    stub.fail("account", 500, {"errors": [{"message": f"bad token {PUBLIC}${SECRET}"}]})
    with caplog.at_level(logging.DEBUG), pytest.raises(TournamentError) as caught:
        tournament.models()
    texts = [repr(Endpoint(stub.url, PUBLIC, SECRET)), repr(tournament), str(caught.value), caplog.text, *lines]
    assert not [text for text in texts if SECRET in text]
    assert "***" in str(caught.value)
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(tournament)


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


def test_models_are_found_by_name(stub: Stub, time: FakeTime) -> None:
    tournament = connect(stub, time)
    assert tournament.model_id(None) == tournament.model_id("alpha") == "model-1"
    with pytest.raises(NoSuchModelError, match="no model 'beta': 1 models, among them alpha"):
        tournament.model_id("beta")
    stub.models.append({"id": "model-2", "name": "beta", "tournament": 8})
    with pytest.raises(NoSuchModelError, match="several: 2 models, among them alpha, beta"):
        tournament.model_id(None)
    assert tournament.model_id("beta") == "model-2"
    stub.models = [{"id": "model-3", "name": "signals", "tournament": 11}]
    with pytest.raises(NoSuchModelError, match="has no model;"):
        tournament.model_id(None)


def test_back_off_is_full_jitter_under_a_ceiling() -> None:
    policy = RetryPolicy(jitter=lambda: 1.0)
    assert [policy.pause_seconds(attempt) for attempt in (1, 2, 3, 7, 500)] == [1, 2, 4, 60, 60]
    assert RetryPolicy(jitter=lambda: 0.0).pause_seconds(9) == 0
    assert RetryPolicy(jitter=lambda: 0.0).pause_seconds(1, asked=5) == 5
    assert RetryPolicy(jitter=lambda: 0.0).pause_seconds(1, asked=99999) == 60


def test_errors_cross_a_process_boundary() -> None:
    error = ServerDownError("what", "remedy")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (ServerDownError, "server_down: what; remedy")
    assert json.dumps(str(again))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0), ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0), ("soon", None)],
)
def test_the_server_s_wish_to_wait_is_read_as_seconds_or_a_date(text: str, seconds: float | None) -> None:
    response = requests.Response()
    response.headers.update({"Retry-After": text, "Date": "Sat, 21 Nov 2026 12:00:00 GMT"})
    assert retry_after(response) == seconds


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
