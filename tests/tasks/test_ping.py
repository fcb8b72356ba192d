"""The dead man's switch: called, tried again, given up with a warning, and never named anywhere."""

import logging
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from eraflow.settings.run import RunSettings
from flows.command.starting.start import without_ping_address
from tasks import ping as module
from tasks.ping import VARIABLE, ping

TOKEN = "s3cr3t-token"


@contextmanager
def switch(*statuses, drip=False):
    """An address that answers GET with one status after another, and the paths that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if drip:
                self.wfile.write(b"H")
                time.sleep(1)
                return
            self.send_response(statuses[min(len(asked), len(statuses)) - 1])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{TOKEN}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(module, "CALL_SECONDS", 0.5)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("statuses", "calls", "reached"), [((200,), 1, True), ((500, 200), 2, True), ((404,), 3, False)]
)
def test_it_is_called_until_it_answers_well(monkeypatch, caplog, statuses, calls, reached):
    with switch(*statuses) as (address, asked), caplog.at_level(logging.DEBUG):
        monkeypatch.setenv(VARIABLE, address)
        assert ping(None, logging.getLogger("test")) is reached
    assert len(asked) == calls
    assert any(record.levelno == logging.WARNING for record in caplog.records) is not reached
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        f"http://127.0.0.1:9/{TOKEN}",
        f"file:///etc/{TOKEN}",
        f"{TOKEN}",
        f"http://[{TOKEN}/",
        f"http://{TOKEN}.invalid/",
    ],
)
def test_whatever_is_wrong_with_it_is_a_warning_without_the_address(monkeypatch, caplog, address):
    monkeypatch.setenv(VARIABLE, address)
    with caplog.at_level(logging.DEBUG):
        assert not ping(None, logging.getLogger("test"))
    assert "was not called" in caplog.text
    assert TOKEN not in caplog.text


def test_an_answer_that_drips_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    with switch(200, drip=True) as (address, _):
        monkeypatch.setenv(VARIABLE, address)
        began = time.monotonic()
        assert not ping(None, logging.getLogger("test"))
        assert time.monotonic() - began < 5


def test_without_an_address_nobody_is_called_and_nothing_is_said(caplog):
    with caplog.at_level(logging.DEBUG):
        assert not ping(None, logging.getLogger("test"))
    assert caplog.text == ""


@pytest.mark.server
def test_the_address_may_come_from_a_secret_block(prefect_server, caplog):
    from prefect.blocks.system import Secret

    with switch(200) as (address, asked), caplog.at_level(logging.DEBUG):
        Secret(value=address).save("switch", overwrite=True)
        assert ping("secret/switch", logging.getLogger("test"))
        assert not ping("secret/unknown", logging.getLogger("test"))
    assert asked == [f"/{TOKEN}"]
    assert "no Secret block secret/unknown" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("given", [f"https://hc.example/{TOKEN}", TOKEN, "secret/", "custom-webhook/x"])
def test_settings_take_no_address_and_do_not_repeat_it(given):
    with pytest.raises(ValidationError) as caught:
        RunSettings(alert={"ping_url": given})
    assert "secret/NAME" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_an_address_that_is_typed_goes_into_the_environment_alone(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    given = ["windows.folds=3", f"alert.ping_url=https://hc.example/{TOKEN}", "alert.ping_url=secret/x"]
    assert without_ping_address(given) == ["windows.folds=3", "alert.ping_url=secret/x"]
    assert module.address_of(None) == f"https://hc.example/{TOKEN}"
