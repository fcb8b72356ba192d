"""Addresses that carry their own permission, as a storage service's signed addresses do."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote, urlencode

LIFETIME_SECONDS = 3600


def signed(base: str, method: str, path: str, key: str, now: float) -> str:
    """An absolute address that allows `method` on `path` for LIFETIME_SECONDS from `now`."""
    expires = int(now + LIFETIME_SECONDS)
    mark = urlencode({"X-Sandbox-Expires": expires, "X-Sandbox-Signature": _mark(method, path, expires, key)})
    return f"{base.rstrip('/')}{quote(path)}?{mark}"


def signature_allows(method: str, path: str, expires: str | None, mark: str | None, key: str, now: float) -> bool:
    """Whether the address was signed by this sandbox for this method and has not expired."""
    if not expires or not mark or not expires.isdigit():
        return False
    return hmac.compare_digest(mark, _mark(method, path, int(expires), key)) and now < int(expires)


def _mark(method: str, path: str, expires: int, key: str) -> str:
    return hmac.new(key.encode(), f"{method} {path} {expires}".encode(), hashlib.sha256).hexdigest()
