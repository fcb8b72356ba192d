"""One file, put to the address that the tournament gives for it. The answer is looked at: numerapi does not do so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import requests
import urllib3

from eraflow.numerai.answers import FileAuth
from eraflow.numerai.errornames import PASSING_STATUS, SKEW_REMEDY, is_skewed, reason, retry_after
from eraflow.numerai.errors import (
    CHECK_NETWORK,
    AddressRefusedError,
    ClockSkewError,
    ServerDownError,
    TournamentError,
    UploadFaultError,
    UploadRefusedError,
)
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.retry import within

_ADDRESS_REFUSED = frozenset({400, 401, 403})  # what storage services say of a signed address that has expired


def put_file(graphql: GraphQLClient, what: str, ask: Callable[[], FileAuth], content: bytes, name: str) -> str:
    """Upload the content; the name under which the server keeps it. An address that is refused is asked for once more.

    Args:
        graphql: the way to the API.
        what: for messages, such as `uploading the submission`.
        ask: asks for an address, once.
        content: the bytes.
        name: the file's, for messages.

    Raises:
        UploadRefusedError: the PUT was not answered with 2xx.
        ClockSkewError: the clocks of this machine and of the file server differ too much.
        TournamentError: no address was given, or no connection could be made.
    """
    policy = graphql.policy
    put = partial(_put, graphql, what, ask, content, name)
    try:
        return policy.retry(what, put)
    except AddressRefusedError as error:
        policy.log(f"{what}: {error.problem}; asking for a fresh address")
    try:
        return policy.retry(what, put)
    except AddressRefusedError as error:
        raise error.after(2) from error


def _put(graphql: GraphQLClient, what: str, ask: Callable[[], FileAuth], content: bytes, name: str) -> str:
    auth, policy = ask(), graphql.policy
    work = partial(requests.put, auth.url, data=content, timeout=policy.call_seconds, verify=True)
    seconds = min(policy.transfer_seconds, policy.call_seconds + len(content) / policy.least_rate)
    try:
        response = within(seconds, what, work)
    except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
        raise ServerDownError(f"{what}: the connection broke: {reason(error)}", CHECK_NETWORK) from None
    if not 200 <= response.status_code < 300:
        raise _refused(response, name)
    return auth.filename


def _refused(response: requests.Response, name: str) -> TournamentError:
    status = f"{response.status_code} {response.reason or ''}".strip()
    problem = f"the file server answered the upload of {name} with {status}; nothing was submitted"
    if is_skewed(response):
        return ClockSkewError(f"{problem}: it finds our time too far from its own (RequestTimeTooSkewed)", SKEW_REMEDY)
    kind: type[UploadRefusedError] = UploadFaultError if response.status_code in PASSING_STATUS else UploadRefusedError
    if response.status_code in _ADDRESS_REFUSED:
        kind = AddressRefusedError
    refusal = kind(problem, "run again; if it stays so, check the clock of this machine and the rights of the API key")
    refusal.retry_after = retry_after(response)
    return refusal
