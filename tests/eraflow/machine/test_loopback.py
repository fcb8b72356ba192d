"""No client of any kind asks a proxy for the loopback, and a proxy that nobody can use stops nobody."""

import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.machine import loopback
from eraflow.machine.loopback import go_direct, is_loopback, proxies_in_use, unusable_proxies

NAMES = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "Http_Proxy"]
BROKEN = [
    "http://",
    "nonsense with spaces",
    "http://host:99999999",
    "socks://host:1",
    "socks4://host:1",
    "ftp://h",
    "://",
]


@contextmanager
def answering():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def clean(monkeypatch):
    for name in [*NAMES, "NO_PROXY", "no_proxy"]:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value"), [*((name, "http://127.0.0.1:9") for name in NAMES), *(("all_proxy", value) for value in BROKEN)]
)
def test_every_client_reaches_the_loopback(clean, name, value):
    clean.setenv(name, value)
    clean.setenv("NO_PROXY", "")  # restored afterwards, whatever go_direct writes
    clean.setenv("no_proxy", "")
    go_direct()
    with answering() as url:
        assert httpx.get(url, verify=False).text == requests.get(url, timeout=10).text == "here"
        assert urllib.request.urlopen(url, timeout=10).read() == b"here"


@pytest.mark.parametrize("value", BROKEN)
def test_what_is_put_aside_is_told_without_its_value(value):
    environment = {"HTTPS_PROXY": value}
    (told,) = go_direct(environment)
    assert "HTTPS_PROXY" not in environment
    assert "HTTPS_PROXY" in str(told)
    assert unusable_proxies(environment) == []


@pytest.mark.parametrize("value", ["proxy.example:3128", "http://u:p@proxy.example:3128", "https://proxy.example", ""])
def test_a_usable_proxy_stays_for_everything_else(value):
    environment = {"https_proxy": value, "no_proxy": "intern.example"}
    assert go_direct(environment) == []
    assert environment["https_proxy"] == value
    assert "p@" not in str(proxies_in_use(environment))


def test_socks_without_its_packages_is_put_aside(monkeypatch):
    monkeypatch.setattr(loopback, "find_spec", lambda name: None)
    (told,) = go_direct({"all_proxy": "socks5h://127.0.0.1:1080"})
    assert "socksio" in told.why
    monkeypatch.setattr(loopback, "find_spec", lambda name: name)
    assert go_direct({"all_proxy": "socks5h://127.0.0.1:1080"}) == []


def test_exceptions_of_either_spelling_stay_and_the_services_own_spelling_is_added():
    environment = {"NO_PROXY": "a.example, b.example", "PREFECT_API_URL": "http://127.0.0.7:4200/api"}
    go_direct(environment)
    expected = "a.example,b.example,127.0.0.1,localhost,::1,127.0.0.7"
    assert environment["NO_PROXY"] == environment["no_proxy"] == expected
    again = dict(environment)
    go_direct(again)
    assert again == environment
    everything = {"no_proxy": "*"}
    go_direct(everything)
    assert everything == {"no_proxy": "*"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.3.2.1", True), ("::1", True), ("0.0.0.0", True), ("a.localhost", True), ("10.0.0.1", False), ("", False)],
)
def test_what_counts_as_the_loopback(host, expected):
    assert is_loopback(host) is expected


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(codec="ascii"), max_size=30)))
def test_whatever_is_in_the_variables_httpx_can_be_made_afterwards(values):
    go_direct(values)
    for value in filter(None, map(str.strip, values.values())):
        if not value.startswith(("127.", "localhost", "::1", "*")):
            httpx.Proxy(value if "://" in value else f"http://{value}")
