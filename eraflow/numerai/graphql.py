"""The client of the GraphQL API: numerapi as it is, at any address, with deadlines, retries and named errors.

Three habits of numerapi 3.1.1 are met here:

- its address is a constant of the module. Two clients for two addresses must not get mixed up, so each carries
  `raw_query`, the library's own code, with a constant of its own;
- it swallows the reason of a failed call, logs it and answers `{}`, which ends as KeyError('data'). The log filter
  below runs while the exception is being handled, and so can note the exception itself;
- its constructor reads a `.env` file when a key is missing, and sets up the root logger. Neither is wanted.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from numerapi import NumerAPI, base_api
from numerapi import utils as numerapi_utils
from pydantic import ValidationError

from eraflow.numerai.answers import oddity
from eraflow.numerai.errornames import KEY_REMEDY, graphql_error, name_fault
from eraflow.numerai.errors import AddressError, OddAnswerError, TournamentError, WrongKeyError
from eraflow.numerai.retry import RetryPolicy, within

T = TypeVar("T")

_CONSTANT = "API_TOURNAMENT_URL"
_NO_KEY = "no-key"
NEWER = "run again later; if it stays so, the API may have changed: look for a newer Eraflow"
_SAID = 300  # characters of what the API says that are quoted


@dataclass(frozen=True)
class Endpoint:
    """Where the tournament is and who asks.

    Args:
        url: address of the API; None is Numerai itself.
        public_id, secret_key: the API key; None for public questions only. The secret is in no text made of this.
    """

    url: str | None = None
    public_id: str | None = None
    secret_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for half in ("public_id", "secret_key"):
            object.__setattr__(self, half, _clean_key(half, getattr(self, half)))
        if self.url is None:
            return
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise AddressError(
                f"{self.url!r} is no address of an API", "write it as https://host or http://127.0.0.1:PORT"
            )
        if parts.username or parts.password:
            raise AddressError(
                "the address of the API holds a user name or password", "give the key by public_id and secret_key only"
            )

    @property
    def has_key(self) -> bool:
        """Whether both halves of the key are there."""
        return bool(self.public_id and self.secret_key)

    @property
    def name(self) -> str:
        """The address as shown to people."""
        return self.url or str(base_api.API_TOURNAMENT_URL)

    def scrub(self, text: str) -> str:
        """`text` without the secret, in case a server echoes it."""
        return text.replace(self.secret_key, "***") if self.secret_key else text


_QUOTES = "\"'`\u201c\u201d\u2018\u2019"


def _clean_key(half: str, value: str | None) -> str | None:
    """A key as it stands in its file: without the line end, blanks, quotes and byte order mark that came along with it.

    Raises:
        WrongKeyError: something is left in it that no key holds, and that no request can carry.
    """
    if value is None:
        return None
    cleaned = value.strip().strip("\ufeff").strip().strip(_QUOTES).strip()
    wrong = next((sign for sign in cleaned if not (sign.isascii() and sign.isprintable()) or sign.isspace()), None)
    if wrong is not None:
        what = {"\n": "a line end", "\r": "a line end", " ": "a blank", "\t": "a tab"}.get(wrong, "a sign")
        raise WrongKeyError(
            f"the {half.replace('_', ' ')} of the API key holds {what} in its middle, which no key does",
            "copy both halves anew from numer.ai (Account, API keys), each on one line; see NUMERAI_PUBLIC_ID, "
            "NUMERAI_SECRET_KEY or the Secret block of source.keys_block",
        )
    return cleaned


class GraphQLClient:
    """Sends questions through numerapi, each with a deadline and with a named error when it fails."""

    def __init__(self, endpoint: Endpoint, policy: RetryPolicy) -> None:
        self.endpoint = endpoint
        self.policy = policy
        _log_watcher.install()
        self._api = _make_api(endpoint)

    def ask(self, what: str, question: Callable[[NumerAPI], T], *, needs_key: bool = False) -> T:
        """The answer of `question`, asked again when it fails for a passing reason.

        Only for questions that change nothing; a mutation uses `ask_once`.
        """
        return self.policy.retry(what, partial(self.ask_once, what, question, needs_key=needs_key))

    def ask_once(self, what: str, question: Callable[[NumerAPI], T], *, needs_key: bool = False) -> T:
        """The answer of `question`, asked once, within `call_seconds`."""
        if needs_key and not self.endpoint.has_key:
            raise WrongKeyError(f"{what}: no API key was given", KEY_REMEDY)
        return within(self.policy.call_seconds, what, partial(self._ask, what, question, needs_key))

    def _ask(self, what: str, question: Callable[[NumerAPI], T], needs_key: bool) -> T:
        with _log_watcher.watching() as seen:
            try:
                return question(self._api)
            except (MemoryError, TournamentError):
                raise
            except Exception as error:  # noqa: BLE001 - numerapi trips over odd answers in many ways
                named = self._named(what, error, seen, needs_key)
        raise named

    def _named(self, what: str, error: Exception, seen: list[Exception], needs_key: bool) -> TournamentError:
        if seen:
            named = name_fault(what, self.endpoint.name, seen[-1])
        elif isinstance(error, _SaidNo):
            named = graphql_error(what, str(error), needs_key)
        else:
            named = self._odd(what, error)
        clean = type(named)(self.endpoint.scrub(named.problem), named.remedy)
        clean.retry_after = named.retry_after
        return clean

    def _odd(self, what: str, error: Exception) -> OddAnswerError:
        """An answer that is not what was expected, or that numerapi trips over."""
        odd = oddity(error) if isinstance(error, ValidationError) else f"it cannot be read ({type(error).__name__})"
        return OddAnswerError(f"{what}: the answer of {self.endpoint.name} is not what was expected: {odd}", NEWER)


def _make_api(endpoint: Endpoint) -> NumerAPI:
    """A NumerAPI for this endpoint. Without a key it holds none, whatever the environment or a `.env` says."""
    with _root_logger_untouched():
        api = _Client(endpoint.public_id or _NO_KEY, endpoint.secret_key or _NO_KEY, show_progress_bars=False)
    if not endpoint.has_key:
        api.token = None
    if endpoint.url is not None:
        api.address(endpoint.url)
    return api


class _SaidNo(Exception):
    """The API's own words where it refuses. numerapi raises a ValueError, as an unreadable answer does."""


def _words(errors: Any) -> str:
    """The messages in the `errors` of an answer, whatever their shape."""
    if isinstance(errors, Mapping):
        errors = [{"message": errors.get("detail", errors.get("message"))}]
    found = [error.get("message") for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    return "; ".join(text for text in found if isinstance(text, str))[:_SAID]


class _Client(NumerAPI):  # type: ignore[misc]
    """numerapi, with retries left to `RetryPolicy`: its own wait 5 and 10 seconds and know nothing of a deadline."""

    _addressed: Callable[..., Any] | None = None

    def _handle_call_error(self, errors: Any) -> str:
        """Called by `raw_query` with the errors in an answer."""
        raise _SaidNo(_words(errors))

    def address(self, url: str) -> None:
        """Make this client, and no other, talk to `url`."""
        code = base_api.Api.raw_query
        if _CONSTANT not in code.__code__.co_names:
            raise AddressError(
                "this numerapi does not read its address from API_TOURNAMENT_URL", "install numerapi==3.1.1"
            )
        own = types.FunctionType(
            code.__code__, {**vars(base_api), _CONSTANT: url}, code.__name__, code.__defaults__, code.__closure__
        )
        own.__kwdefaults__ = code.__kwdefaults__
        self._addressed = types.MethodType(own, self)

    def raw_query(
        self, query: str, variables: dict[str, Any] | None = None, authorization: bool = False, **_: Any
    ) -> Any:
        """As in numerapi; asked once."""
        send: Callable[..., Any] = self._addressed or super().raw_query
        return send(query, variables, authorization, retries=1)


_root_lock = threading.Lock()


@contextmanager
def _root_logger_untouched() -> Iterator[None]:
    """numerapi calls logging.basicConfig, which does nothing when the root logger has a handler."""
    root, placeholder = logging.getLogger(), logging.NullHandler()
    with _root_lock:
        root.addHandler(placeholder)
        try:
            yield
        finally:
            root.removeHandler(placeholder)


class _LogWatcher(logging.Filter):
    """Notes, for each thread that asks, the exceptions numerapi swallows; and keeps its log lines out of ours."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = threading.local()

    def install(self) -> None:
        """Listen to numerapi's two loggers. Doing it twice is the same as once."""
        for logger in (numerapi_utils.logger, logging.getLogger(base_api.__name__)):
            logger.addFilter(self)

    @contextmanager
    def watching(self) -> Iterator[list[Exception]]:
        """The exceptions noted on this thread while the block runs."""
        logger = numerapi_utils.logger
        logger.disabled = False  # a logging configuration may have switched it off; then nothing would be noted
        if not logger.isEnabledFor(logging.ERROR):
            logger.setLevel(logging.ERROR)
        seen: list[Exception] = []
        self._threads.seen = seen
        try:
            yield seen
        finally:
            del self._threads.seen

    def filter(self, record: logging.LogRecord) -> bool:
        """Called where numerapi logs, inside its `except`: the exception is the one being handled."""
        seen: list[Exception] | None = getattr(self._threads, "seen", None)
        if seen is None:
            return True  # somebody else uses numerapi: their log stays as it is
        error = sys.exc_info()[1]
        if isinstance(error, requests.RequestException | json.JSONDecodeError):
            seen.append(error)
        return False


_log_watcher = _LogWatcher()
