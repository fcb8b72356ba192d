"""The client as its users have it: the given key and no other, no secret in any text, models by their names."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from typing import Any

import pytest

from eraflow.numerai.client import Tournament
from eraflow.numerai.errors import NoSuchModelError, ServerDownError, TournamentError, WrongKeyError
from eraflow.numerai.graphql import Endpoint
from tests.eraflow.numerai.conftest import connect
from tests.eraflow.numerai.stubserver import PUBLIC, SECRET, FakeTime, Stub


def test_a_server_that_is_down_is_named(time: FakeTime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    tournament = Tournament(Endpoint(url), attempts=2, sleep=time.sleep, clock=time.clock)
    with pytest.raises(ServerDownError, match=r"cannot reach .*Connection refused"):
        tournament.current_round()
    assert len(time.pauses) == 1


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
