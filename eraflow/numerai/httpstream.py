"""One GET of a file, in pieces, with TLS checked, no piece waited for longer than a deadline, and no trickling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import requests
import urllib3

from eraflow.numerai.checksums import Promise, promises
from eraflow.numerai.errornames import PASSING_STATUS, SKEW_REMEDY, is_skewed, reason, retry_after
from eraflow.numerai.errors import (
    CHECK_NETWORK,
    ClockSkewError,
    DownloadBrokenError,
    DownloadRefusedError,
    DownloadSlowError,
    NoSuchFileError,
    OverallDeadlineError,
    ServerDownError,
    ServerFaultError,
)
from eraflow.numerai.retry import RetryPolicy, within

PIECE_BYTES = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class Offer:
    """An answered GET whose body has not been read.

    Attributes:
        response: the open response; `close` it, or read it by `pieces`.
        length: bytes of the whole file, None when the server does not say.
        etag, last_modified: what the server calls this content, None when it does not say.
        start: the byte at which the body begins.
        promises: checksums of the whole content that the server states.
    """

    response: requests.Response
    length: int | None
    etag: str | None
    last_modified: str | None
    start: int = 0
    promises: tuple[Promise, ...] = ()

    @property
    def can_resume(self) -> bool:
        """Whether a broken transfer may be continued: only a strong ETag promises the same bytes (RFC 9110, 13.1.5)."""
        return self.length is not None and self.etag is not None and self.etag.startswith('"')

    def close(self) -> None:
        """Give the connection back."""
        self.response.close()


def open_whole(name: str, url: str, policy: RetryPolicy, until: float) -> Offer:
    """Ask for the whole file.

    Raises:
        NoSuchFileError, DownloadRefusedError, ServerFaultError, ServerDownError, DeadlineError.
    """
    response = _get(name, url, {}, policy, until)
    length = response.headers.get("Content-Length", "")
    whole = response.status_code == 200
    return Offer(
        response,
        int(length) if length.isdigit() else None,
        *_labels(response),
        promises=promises(response.headers) if whole else (),
    )


def open_rest(name: str, url: str, have: int, of: Offer, policy: RetryPolicy, until: float) -> Offer | None:
    """Ask for the bytes from byte `have` on of the very content that `of` offered.

    None when the server does not answer with exactly that: it ignores Range, the content has changed meanwhile, or
    the range is another one. Then only a fresh start is safe.
    """
    headers = {"Range": f"bytes={have}-", "If-Range": of.etag or ""}
    response = _get(name, url, headers, policy, until, refusals=(416,))
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    wanted = (have, (of.length or 0) - 1, of.length)
    etag, last_modified = _labels(response)
    if response.status_code == 206 and found and tuple(map(int, found.groups())) == wanted and etag == of.etag:
        return Offer(response, of.length, etag, last_modified, start=have, promises=of.promises)
    response.close()
    return None


def pieces(name: str, offer: Offer, policy: RetryPolicy, until: float) -> Iterator[bytes]:
    """The body as it arrives, at most `PIECE_BYTES` at a time.

    Raises:
        DownloadBrokenError: the connection broke, or was silent for `call_seconds`.
        DownloadSlowError: in `call_seconds` fewer bytes came than `least_rate` asks for.
        OverallDeadlineError: `until` has passed.
    """
    try:
        yield from _read(name, offer, policy, until)
    finally:
        offer.close()


def first_bytes(name: str, offer: Offer, count: int, policy: RetryPolicy, until: float) -> bytes:
    """The next `count` bytes of the body, fewer when it ends before; raises as `pieces` does, and closes nothing."""
    return b"".join(_read(name, offer, policy, until, count))


def _read(name: str, offer: Offer, policy: RetryPolicy, until: float, most: int | None = None) -> Iterator[bytes]:
    pace = _Pace(name, policy)
    left = most
    try:
        while piece := offer.response.raw.read1(PIECE_BYTES if left is None else min(left, PIECE_BYTES)):
            yield piece
            check_time(name, policy, until)
            pace.count(len(piece))
            left = None if left is None else left - len(piece)
            if left == 0:
                return
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise DownloadBrokenError(
            f"downloading {name}: the transfer broke off: {reason(error)}", CHECK_NETWORK
        ) from None


class _Pace:
    """Bytes by time. A server that sends a byte now and then is never silent, and yet gets nowhere."""

    def __init__(self, name: str, policy: RetryPolicy) -> None:
        self._name, self._policy = name, policy
        self._since, self._bytes = policy.clock(), 0

    def count(self, arrived: int) -> None:
        """Take the bytes that arrived; raises DownloadSlowError when a stretch of `call_seconds` brought too few."""
        self._bytes += arrived
        seconds = self._policy.clock() - self._since
        if seconds < self._policy.call_seconds:
            return
        if self._bytes < self._policy.least_rate * seconds:
            raise DownloadSlowError(
                f"downloading {self._name}: {self._bytes} bytes in {seconds:.0f} s, "
                f"less than {self._policy.least_rate:,.0f} a second",
                CHECK_NETWORK,
            )
        self._since, self._bytes = self._policy.clock(), 0


def check_time(name: str, policy: RetryPolicy, until: float) -> float:
    """Seconds left for this transfer.

    Raises:
        OverallDeadlineError: none are left.
    """
    left = until - policy.clock()
    if left <= 0:
        raise OverallDeadlineError(
            f"downloading {name}: not finished within {policy.transfer_seconds:g} s",
            "run again, what has arrived is kept where the server allows it; or raise source.transfer_seconds",
        )
    return left


def _labels(response: requests.Response) -> tuple[str | None, str | None]:
    return response.headers.get("ETag"), response.headers.get("Last-Modified")


def _get(
    name: str, url: str, headers: dict[str, str], policy: RetryPolicy, until: float, refusals: tuple[int, ...] = ()
) -> requests.Response:
    seconds = min(policy.call_seconds, check_time(name, policy, until))
    # Raw bytes are counted and hashed, so none may be compressed on the way.
    work = partial(
        requests.get, url, headers={"Accept-Encoding": "identity", **headers}, stream=True, timeout=seconds, verify=True
    )
    try:
        response = within(seconds, f"downloading {name}", work, late=requests.Response.close)
    except requests.RequestException as error:
        raise ServerDownError(f"downloading {name}: no connection: {reason(error)}", CHECK_NETWORK) from None
    try:
        _check_answer(name, url, response, refusals)
    except BaseException:
        response.close()
        raise
    return response


def _check_answer(name: str, url: str, response: requests.Response, refusals: tuple[int, ...]) -> None:
    code = response.status_code
    status = f"{code} {response.reason or ''}".strip()
    if code in (404, 410):
        raise NoSuchFileError(f"{name}: the file server answered {status}", "check data.version, then run again")
    if code in PASSING_STATUS:
        fault = ServerFaultError(f"downloading {name}: the file server answered {status}", "run again later")
        fault.retry_after = retry_after(response)
        raise fault
    if is_skewed(response):
        raise ClockSkewError(f"downloading {name}: the file server finds our time too far from its own", SKEW_REMEDY)
    if code not in (200, 206, *refusals):
        raise DownloadRefusedError(
            f"downloading {name}: the file server answered {status}",
            "check the clock of this machine (signed addresses expire), then run again",
        )
    if url.startswith("https:") and not str(response.url).startswith("https:"):
        raise DownloadRefusedError(
            f"downloading {name}: sent on to an address without TLS", "do not trust this network"
        )
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadRefusedError(f"downloading {name}: it comes compressed, unasked", "look for a proxy in between")
