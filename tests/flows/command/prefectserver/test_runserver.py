"""A server that dies is started again while those who ask wait; one that cannot be started again costs nobody time.

The servers here are small ones of a few lines: what is tested is who starts them, and who waits. The real one is
started by every week that a test runs from the command line.
"""

import os
import signal
import sys
import threading
import time

import httpx
import pytest

from eraflow.disk.locks import my_turn
from flows.command.prefectserver import runserver
from flows.command.prefectserver.runserver import PrefectUnreachableError, run_server

SMALL_SERVER = """
import json, os, socket, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
def leave():
    while os.read(0, 100):
        pass
    os._exit(0)
threading.Thread(target=leave, daemon=True).start()
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"process": os.getpid(), "environment": dict(os.environ)}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
print("warming up", file=sys.stderr, flush=True)
server = HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=int(sys.argv[1]))
os.write(1, b'"ready"\\n')
server.serve_forever()
"""
BROKEN = "import sys; print('the database is locked for ever', file=sys.stderr); sys.exit(3)"


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(runserver, "COMMAND", [sys.executable, "-c", SMALL_SERVER])
    return monkeypatch


def asked(address):
    return httpx.get(address, timeout=30, trust_env=False)


def kill(address):
    process = asked(address).json()["process"]
    os.kill(process, signal.SIGKILL)
    return process


def test_whoever_asks_after_a_death_waits_for_the_next_one_at_the_same_address(small, tmp_path):
    told = []
    with run_server(tmp_path, told.append) as address:
        first = kill(address)
        second = kill(address)
        third = asked(address).json()["process"]
        deadline = time.monotonic() + 20  # it answers a moment before it is told of
        while len(told) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert len({first, second, third}) == 3
    assert len(told) == 2
    assert "started again" in told[0]
    assert "signal 9" in told[0]
    with pytest.raises(httpx.ConnectError):
        asked(address)


@pytest.mark.parametrize("how", ["it dies too often", "it cannot start"])
def test_one_that_is_lost_refuses_at_once(small, tmp_path, how):
    lost = threading.Event()
    told = []

    def say(text):
        told.append(text)
        if "is lost" in text:
            lost.set()

    with run_server(tmp_path, say) as address:
        if how == "it dies too often":
            small.setattr(runserver, "RESTARTS", 0)
        else:
            small.setattr(runserver, "COMMAND", [sys.executable, "-c", BROKEN])
        kill(address)
        assert lost.wait(30)
        began = time.monotonic()
        answers = [httpx.request(verb, address, timeout=30, trust_env=False) for verb in ("GET", "POST", "PATCH")]
        assert [answer.status_code for answer in answers] == [410, 410, 410]
        assert time.monotonic() - began < 5
    assert "the run goes on" in told[-1]
    if how == "it cannot start":
        assert "locked for ever" in told[-1]


def test_a_first_start_that_fails_is_a_named_error_with_the_end_of_its_own_log(small, tmp_path):
    (tmp_path / "server.log").write_text("of an earlier run\n")
    small.setattr(runserver, "COMMAND", [sys.executable, "-c", BROKEN])
    with pytest.raises(PrefectUnreachableError, match="locked for ever") as caught, run_server(tmp_path, print):
        pass
    assert "of an earlier run" not in str(caught.value)


def test_it_inherits_prefects_own_settings_and_no_key_of_anybody_else(small, tmp_path):
    small.setenv("NUMERAI_SECRET_KEY", "geheim")
    small.setenv("MLFLOW_TRACKING_PASSWORD", "geheim")
    small.setenv("PREFECT_SERVER_API_AUTH_STRING", "needed")
    small.setenv("PREFECT_API_URL", "http://another.example/api")
    with run_server(tmp_path, print) as address:
        environment = asked(address).json()["environment"]
    assert "geheim" not in environment.values()
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == "needed"
    assert environment["PREFECT_HOME"] == str(tmp_path)
    assert "PREFECT_API_URL" not in environment


def test_two_first_starts_in_one_home_come_one_after_the_other(small, tmp_path):
    told, up, done = [], threading.Event(), threading.Event()

    def first():

        with my_turn(tmp_path / runserver.STARTING, print):
            up.set()
            time.sleep(1)
            done.set()

    thread = threading.Thread(target=first)
    thread.start()
    up.wait(10)
    with run_server(tmp_path, told.append) as address:
        assert done.is_set()
        assert asked(address).status_code == 200
    thread.join()
    assert "this one waits" in told[0]
