"""How a file is handed out: whole, in parts, or as a broken file server would."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

from fastapi import Request
from fastapi.responses import FileResponse, Response

from eraflow.sandbox.altered import renamed, with_nan
from eraflow.sandbox.faults import Faults
from eraflow.sandbox.hostile import Broken, dripping, silent_after, whole

_BREAKS = ("file_500", "file_drip", "file_hang", "file_truncated", "file_short", "file_spliced", "file_flipped")
_DRIP_HEAD = 1000
_FOOTER_BYTES = 8  # the length of a parquet footer and the mark PAR1


def file_answer(path: Path, name: str, request: Request, faults: Faults, scratch: Path) -> Response:
    """The answer to a GET of the file at `path`, offered as `name`; faults meet parquet files only.

    Args:
        scratch: folder for altered copies.
    """
    if path.suffix != ".parquet" or request.method != "GET":
        return _file(path)
    if path.name == "live.parquet":
        path = _this_weeks(path, faults, scratch)
    start = _start(request)
    if start is not None and name in faults.spliced_names:
        faults.spliced_names.discard(name)
        return _other_version(path, start)
    if start is not None and faults.take("file_no_range"):
        return _broken(path, whole(path.read_bytes()), path.stat().st_size)
    fault = faults.first(*_BREAKS)
    if fault == "file_spliced":
        faults.spliced_names.add(name)
    return _file(path) if fault is None else _faulty(path, fault, start or 0)


def _this_weeks(path: Path, faults: Faults, scratch: Path) -> Path:
    fault = faults.first("live_renamed", "live_nan")
    if fault is None:
        return path
    return (renamed if fault == "live_renamed" else with_nan)(path, scratch)


def _faulty(path: Path, fault: str, start: int) -> Response:
    if fault == "file_500":
        return Response("internal error", status_code=500)
    content = path.read_bytes()[start:]
    if fault == "file_flipped":
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
        return _broken(path, whole(flipped), len(content), start)
    half = content[: len(content) // 2]
    body = {
        "file_drip": dripping(content, _DRIP_HEAD),
        "file_hang": silent_after(half),
    }.get(fault) or whole(half)
    return _broken(path, body, len(half) if fault == "file_short" else len(content), start)


def _other_version(path: Path, start: int) -> Response:
    """The rest of a file of the same size, label and footer, whose data are others."""
    content = path.read_bytes()
    footer = int.from_bytes(content[-_FOOTER_BYTES:][:4], "little") + _FOOTER_BYTES
    changed = bytes(byte ^ 0x55 for byte in content[:-footer]) + content[-footer:]
    return _broken(path, whole(changed[start:]), len(content) - start, start)


def _broken(path: Path, body: AsyncIterator[bytes], length: int, start: int = 0) -> Broken:
    size = path.stat().st_size
    if not start:
        return Broken(body, length, _etag(path))
    return Broken(body, length, _etag(path), 206, **{"Content-Range": f"bytes {start}-{size - 1}/{size}"})


def _file(path: Path) -> FileResponse:
    """Answers Range, ETag and Content-Length."""
    return FileResponse(path, headers={"etag": _etag(path)})


def _etag(path: Path) -> str:
    """The MD5 of the content, as object stores label it; a fault must not be told by it."""
    about = path.stat()
    return f'"{_md5(path, about.st_size, about.st_mtime_ns)}"'


@cache
def _md5(path: Path, size: int, changed_ns: int) -> str:
    """Read once; size and time of change tell another content of the same file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()


def _start(request: Request) -> int | None:
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    return int(found[1]) if found else None
