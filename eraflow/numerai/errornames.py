"""What a failed exchange really was: from exceptions of requests and texts of the API to named errors."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from eraflow.numerai.errors import (
    CHECK_NETWORK,
    AddressError,
    ApiRefusedError,
    ServerDownError,
    ServerFaultError,
    TournamentError,
    WrongKeyError,
)

KEY_REMEDY = (
    "set NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY (or the Prefect Secret block of source.keys_block) to a key made "
    "under Account, API keys, with the right to upload submissions"
)
SKEW_REMEDY = "set the clock of this machine (switch NTP on), then run again: what was finished is kept"
PASSING_STATUS = frozenset({408, 425, 429}) | frozenset(range(500, 600))  # time-out, too early, too many, 5xx

_KEY_WORDS = re.compile(
    r"unauthori[sz]ed|unauthenticated|not authori[sz]ed|not (logged|signed) in|session is invalid|has expired"
    r"|authentication|invalid (api )?(token|key|credentials)|permission|must be logged in",
    re.IGNORECASE,
)


def name_fault(what: str, where: str, error: Exception) -> TournamentError:
    """The named error for an exception that requests raised while asking `where`.

    Args:
        what: the question, as shown to people.
        where: the address, without keys.
        error: what numerapi swallowed.
    """
    response = getattr(error, "response", None)
    if isinstance(error, requests.HTTPError) and response is not None:
        return _name_status(what, where, response)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return AddressError(f"{what}: {where} is no address of an API ({reason(error)})", "correct source.url")
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return ServerDownError(f"{what}: cannot reach {where}: {reason(error)}", CHECK_NETWORK)
    if isinstance(error, ValueError):
        return ServerFaultError(f"{what}: the answer of {where} is not JSON", "run again later")
    return ServerFaultError(f"{what}: the exchange with {where} broke off: {reason(error)}", CHECK_NETWORK)


def _name_status(what: str, where: str, response: requests.Response) -> TournamentError:
    status = f"{response.status_code} {response.reason or ''}".strip()
    if response.status_code in (401, 403):
        return WrongKeyError(f"{what}: {where} does not accept the API key ({status})", KEY_REMEDY)
    if response.status_code in PASSING_STATUS:
        fault = ServerFaultError(f"{what}: {where} answered {status}", "run again later")
        fault.retry_after = retry_after(response)
        return fault
    return AddressError(f"{what}: {where} answered {status}", "correct source.url: no tournament API answers there")


def graphql_error(what: str, message: str, needs_key: bool) -> TournamentError:
    """The named error for a refusal in the API's own words."""
    if needs_key and _KEY_WORDS.search(message):
        return WrongKeyError(f"{what}: {message!r}", KEY_REMEDY)
    said = repr(message) if message else "no reason given"
    return ApiRefusedError(f"{what}: the API refused: {said}", "act on the API's message, then run again")


def retry_after(response: requests.Response) -> float | None:
    """Seconds of a Retry-After header, None when there is none; a date counts from the answer's own Date."""
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text)
    until, now = http_date(text), http_date(response.headers.get("Date", ""))
    return max(0.0, (until - now).total_seconds()) if until is not None and now is not None else None


def http_date(text: str) -> datetime | None:
    """The moment of a Date or Retry-After header (UTC); None when it is no date."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def is_skewed(response: requests.Response) -> bool:
    """Whether a file server refuses because its clock and that of the request differ (Amazon S3, error responses)."""
    if response.status_code != 403:
        return False
    try:
        return b"RequestTimeTooSkewed" in response.content[:4096]
    except requests.RequestException:  # a refusal without a readable reason
        return False


def reason(error: BaseException) -> str:
    """The innermost reason of a network error, without the address: signed addresses are secrets."""
    found: BaseException = error
    seen = {id(error)}
    while (below := _below(found)) is not None and id(below) not in seen:
        seen.add(id(below))
        found = below
    if isinstance(found, OSError) and found.strerror:
        return str(found.strerror)
    return re.sub(r"(?<!^)(?=[A-Z][a-z])", " ", type(found).__name__).lower()


def _below(error: BaseException) -> BaseException | None:
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return inner
    inner = next((part for part in error.args if isinstance(part, BaseException)), None)
    return inner or error.__cause__ or error.__context__
