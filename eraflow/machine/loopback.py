"""The loopback is reached directly, whatever proxy the environment names; a proxy that no client takes is put aside.

A proxy that is asked for 127.0.0.1 looks on its own machine. Of the clients in use, httpx (Prefect) refuses to be made
at all while any proxy variable holds what it does not understand, even for an address that needs no proxy; requests
(numerapi, MLflow) and urllib read the same variables. So this is done once, at the start of a process, for all of them;
children inherit it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EXCEPTIONS = ("NO_PROXY", "no_proxy")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
# Addresses of services on this computer, which may spell the loopback in another way.
SERVICES = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")
SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})


@dataclass(frozen=True)
class UnusableProxy:
    """A variable that names no proxy a client could use, and why; the value is not told, it may hold a password."""

    variable: str
    why: str

    def __str__(self) -> str:
        return f"the proxy in {self.variable} is not used: {self.why}"


def go_direct(environment: MutableMapping[str, str] = os.environ) -> list[UnusableProxy]:
    """Except the loopback from every proxy, and remove the variables whose proxy cannot be used; returns these."""
    unusable = unusable_proxies(environment)
    for one in unusable:
        del environment[one.variable]
    known = _entries(environment)
    if "*" not in known:
        wanted = ",".join(dict.fromkeys([*known, *LOOPBACK, *_loopback_services(environment)]))
        environment.update(dict.fromkeys(EXCEPTIONS, wanted))
    return unusable


def unusable_proxies(environment: Mapping[str, str]) -> list[UnusableProxy]:
    """The proxy variables, in capitals and small letters, whose value a client would stumble over."""
    found = [(name, _fault(value)) for name, value in _named(environment)]
    return [UnusableProxy(name, why) for name, why in found if why]


def proxies_in_use(environment: Mapping[str, str]) -> list[str]:
    """The proxies that requests to other machines take, each once, without user and password."""
    return list(dict.fromkeys(_shown(value) for _, value in _named(environment) if not _fault(value)))


def _named(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that name a proxy, and their values; like urllib, in capitals, small letters or both mixed."""
    return [(name, value.strip()) for name, value in environment.items() if name.upper() in PROXIES and value.strip()]


def _entries(environment: Mapping[str, str]) -> list[str]:
    """What is excepted already: in either spelling, as some clients read only one."""
    given = ",".join(environment.get(name, "") for name in EXCEPTIONS)
    return [entry.strip() for entry in given.split(",") if entry.strip()]


def _loopback_services(environment: Mapping[str, str]) -> list[str]:
    return [host for name in SERVICES if is_loopback(host := _host(environment.get(name, "")))]


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this computer by its form alone; nothing is looked up."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _fault(value: str) -> str:
    """What a client would not understand in the value of a proxy variable; empty when it is well."""
    import httpx  # the strictest of the clients; loaded only where there is a proxy to judge

    try:
        address = value if "://" in value else f"http://{value}"
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        if parts.scheme not in SCHEMES:
            return f"{parts.scheme[:20]}:// is no kind of proxy that can be used; {', '.join(sorted(SCHEMES))} are"
        httpx.Proxy(address)  # not as urlsplit reads it, which drops line ends
    except (ValueError, httpx.InvalidURL):
        return "it is no address"
    if not host or port == 0 or any(sign.isspace() for sign in host):
        return "it is no address"
    if parts.scheme.startswith("socks") and not (find_spec("socksio") and find_spec("socks")):
        return "for SOCKS the packages socksio and PySocks are needed"
    return ""


def _shown(value: str) -> str:
    address = value if "://" in value else f"http://{value}"
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
