"""What a file server says about the content it sends, as checksums that the bytes on disk can be held against.

Explicit checksums (Content-MD5, Digest and Repr-Digest, x-amz-checksum-*, x-goog-hash) are promises. An ETag is only
a name, but object stores make it of the content: the MD5 of what was put there in one piece, or, of what was put there
in parts, the MD5 of the parts' MD5s and their number ("9b2cf5...-275"). Whether a server does so is seen by its other
files: `Labels` remembers.

Sources: RFC 1864 (Content-MD5), RFC 3230 and 9530 (Digest), the S3 API reference ("Common response headers", "Checking
object integrity"), Google's "Hashes and ETags: Best practices".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PIECE_BYTES = 1 << 20
MIB = 1 << 20
WHOLE, PARTS = "md5 in the ETag", "md5 of parts in the ETag"
"""Kinds of labels that are checksums only with some servers."""
_ETAG = re.compile(r'"([0-9a-f]{32})(?:-([1-9]\d{0,4}))?"', re.IGNORECASE)
_LENGTHS = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "crc32": 4}
_NAMES = {"md5": "md5", "sha": "sha1", "sha-256": "sha256", "sha-512": "sha512"}


@dataclass(frozen=True)
class Promise:
    """A checksum of the whole content.

    Attributes:
        kind: md5, sha1, sha256, sha512, crc32, or how a label is made (`WHOLE`, `PARTS`).
        value: in lower-case hexadecimal digits.
        source: the header that says so.
        parts: of a label made of parts, how many there are.
    """

    kind: str
    value: str
    source: str
    parts: int = 0

    @property
    def certain(self) -> bool:
        """Whether it is a checksum whoever the server is."""
        return self.kind not in (WHOLE, PARTS)


class Labels:
    """Which of the server's labels have proved to be checksums of the content, and which to be none."""

    def __init__(self) -> None:
        self.proved: dict[str, bool] = {}

    def prove(self, kind: str, *, agrees: bool) -> None:
        """Note what a file showed; one that agrees is proof, whatever others do."""
        self.proved[kind] = agrees or self.proved.get(kind, False)


def promises(headers: Mapping[str, str]) -> tuple[Promise, ...]:
    """Every checksum in the headers of the answer to a GET of the whole file; those that are malformed are left out."""
    found = [_promise("md5", headers.get("Content-MD5", ""), "Content-MD5")]
    for kind in ("crc32", "sha1", "sha256"):
        name = f"x-amz-checksum-{kind}"
        found.append(_promise(kind, headers.get(name, ""), name))
    for name, value in _pairs(headers.get("x-goog-hash", "")):
        found.append(_promise(name, value, "x-goog-hash"))
    for header in ("Digest", "Repr-Digest"):
        for name, value in _pairs(headers.get(header, "")):
            found.append(_promise(_NAMES.get(name.lower(), ""), value.strip(":"), header))
    label = _ETAG.fullmatch(headers.get("ETag", ""))
    # Amazon's own note: with a key of KMS or of the customer the label is not the MD5 of the content.
    keyed = headers.get("x-amz-server-side-encryption") == "aws:kms" or any(
        name.lower().startswith("x-amz-server-side-encryption-customer") for name in headers
    )
    if label is not None and not keyed:
        kind = PARTS if label[2] else WHOLE
        found.append(Promise(kind, label[1].lower(), "ETag", int(label[2] or 0)))
    return tuple(promise for promise in found if promise is not None)


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(name.strip(), value) for name, _, value in (part.partition("=") for part in text.split(","))]


def _promise(kind: str, encoded: str, source: str) -> Promise | None:
    """From base64; None where it is not of the right length: composite ones of parts, for example ("...==-12")."""
    try:
        value = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Promise(kind, value.hex(), source) if _LENGTHS.get(kind) == len(value) else None


@dataclass(frozen=True)
class Measured:
    """What was found on disk: the file's own sha256, and the promises that it keeps and breaks."""

    sha256: str
    kept: tuple[Promise, ...]
    broken: tuple[Promise, ...]


def measure(path: Path, promised: Sequence[Promise]) -> Measured:
    """Read the file once and hold it against every promise.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    own = hashlib.sha256()
    sums: list[tuple[Promise, list[_Sum]]] = [(promise, _sums(promise, size)) for promise in promised]
    with path.open("rb") as handle:
        while piece := handle.read(PIECE_BYTES):
            own.update(piece)
            for _, several in sums:
                for each in several:
                    each.update(piece)
    kept = tuple(promise for promise, several in sums if promise.value in {each.hexdigest() for each in several})
    return Measured(own.hexdigest(), kept, tuple(promise for promise, several in sums if promise not in kept))


class _Sum(Protocol):
    def update(self, data: Any, /) -> None: ...

    def hexdigest(self) -> str: ...


def _sums(promise: Promise, size: int) -> list[_Sum]:
    """What to compute for a promise; of parts, each size that a client may have cut them in."""
    if promise.kind == PARTS:
        return [_OfParts(part) for part in _part_sizes(size, promise.parts)]
    if promise.kind == "crc32":
        return [_Crc32()]
    return [hashlib.new("md5" if promise.kind == WHOLE else promise.kind, usedforsecurity=False)]


def _part_sizes(size: int, parts: int) -> list[int]:
    """Sizes of a part, in whole MiB, with which a file has so many; clients use no others. A few at the most."""
    if parts == 1:
        return [max(size, 1)]
    least, most = -(-size // parts), (size - 1) // (parts - 1) if size else 0
    return [part * MIB for part in range(-(-least // MIB), most // MIB + 1)][:8]


class _OfParts:
    """The MD5 of the MD5s of the parts."""

    def __init__(self, part: int) -> None:
        self._part, self._left = part, part
        self._current = hashlib.md5(usedforsecurity=False)
        self._all = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while len(view):
            taken = view[: self._left]
            self._current.update(taken)
            self._left -= len(taken)
            view = view[len(taken) :]
            if not self._left:
                self._close()

    def _close(self) -> None:
        self._all.update(self._current.digest())
        self._current, self._left = hashlib.md5(usedforsecurity=False), self._part

    def hexdigest(self) -> str:
        if self._left < self._part:
            self._close()
        return self._all.hexdigest()


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"
