"""Answers as only a broken server gives them: connections that end, trickle or fall silent, pages that are no JSON."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any

from fastapi.responses import JSONResponse, Response

from eraflow.sandbox.faults import Faults

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

API_FAULTS = ("server_500", "api_hang", "api_429", "api_html", "api_502")
DRIP_SECONDS = 0.2  # a byte each
LONGEST_SECONDS = 120.0  # of silence or of dripping: nobody waits that long in a test

_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><p>cloudgate</p></body></html>"
_SKEWED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between '
    "the request time and the current time is too large.</Message></Error>"
)


async def api_answer(fault: str) -> Response:
    """What an API request is answered that meets `fault`, one of `API_FAULTS`."""
    if fault == "api_hang":
        await asyncio.sleep(LONGEST_SECONDS)
    if fault == "api_429":
        return JSONResponse(
            {"errors": [{"message": "Too many requests"}]}, status_code=429, headers={"Retry-After": "1"}
        )
    if fault in ("api_html", "api_502"):
        title, status = ("502 Bad Gateway", 502) if fault == "api_502" else ("We will be back soon", 200)
        return Response(_PAGE.format(title), status_code=status, media_type="text/html")
    return JSONResponse({"errors": [{"message": "Internal server error"}]}, status_code=500)


def skewed_answer() -> Response:
    """How a storage service refuses a request whose time lies too far from its own."""
    return Response(_SKEWED, status_code=403, media_type="application/xml")


class Broken(Response):
    """Announces `length` bytes and sends what `body` yields; a body that ends early ends the connection too."""

    def __init__(self, body: AsyncIterator[bytes], length: int, etag: str, status: int = 200, **headers: str) -> None:
        super().__init__(status_code=status, media_type="application/octet-stream")
        self.headers.update({"Content-Length": str(length), "ETag": etag, "Accept-Ranges": "bytes", **headers})
        self._pieces = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Returning without the last piece makes the web server close the connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, gone):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await task

    async def _send(self, send: Send) -> None:
        announced, sent = int(self.headers["Content-Length"]), 0
        async for piece in self._pieces:
            sent += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if sent == announced:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def whole(content: bytes) -> AsyncIterator[bytes]:
    """All of it."""
    yield content


async def silent_after(content: bytes) -> AsyncIterator[bytes]:
    """All of it, then nothing, with the connection left open."""
    yield content
    await asyncio.sleep(LONGEST_SECONDS)


async def dripping(content: bytes, head: int) -> AsyncIterator[bytes]:
    """`head` bytes at once, then one every `DRIP_SECONDS`."""
    yield content[:head]
    for place in range(head, min(len(content), head + int(LONGEST_SECONDS / DRIP_SECONDS))):
        await asyncio.sleep(DRIP_SECONDS)
        yield content[place : place + 1]


class HostileEdge:
    """The outermost layer: tells the time of the sandbox's own clock, and resets connections."""

    def __init__(self, app: Any, faults: Faults, clock: Callable[[], float]) -> None:
        self._app, self._faults, self._clock = app, faults, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or break it off."""

        async def dated(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                now = formatdate(self._clock(), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", []), (b"date", now)]}
            await send(message)

        upload = scope["type"] == "http" and scope["method"] == "PUT"
        if upload and self._faults.take("put_reset"):
            await receive()  # the first part of the body
            _reset(receive)
            return
        await self._app(scope, receive, dated)


def _reset(receive: Receive) -> None:
    """Abort the connection below an ASGI request; uvicorn's `receive` knows it. Elsewhere the answer is missing."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
