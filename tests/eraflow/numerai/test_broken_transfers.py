"""A transfer that broke off goes on where it broke, and never onto another content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from eraflow.numerai.errors import DownloadBrokenError, DownloadCorruptError
from eraflow.numerai.filecheck import verify_parquet, verify_some
from tests.eraflow.numerai.conftest import NAME, connect, names, parquet
from tests.eraflow.numerai.stubserver import FakeTime, Handler, Stub

pytestmark = pytest.mark.usefixtures("served")


def test_a_leftover_of_another_day_is_never_spliced(stub: Stub, time: FakeTime, place: Path) -> None:
    place.parent.mkdir(parents=True)
    yesterday = parquet(9)[:20_000]
    for leftover in (".temp", ".partial"):
        place.with_name(place.name + leftover).write_bytes(yesterday)
    place.with_name(place.name + ".partial.json").write_text(
        json.dumps({"name": NAME, "etag": '"day-0"', "length": len(stub.files[NAME])})
    )
    connect(stub, time).download(NAME, place, verify_some)
    assert place.read_bytes() == stub.files[NAME]
    assert names(place) == {"live.parquet", "live.parquet.receipt.json"}
    assert stub.asked["206"] == 0


def breaking(times: int, after: int) -> Any:
    """A file server that breaks off after so many bytes, so many times."""
    left = [times]

    def serve(handler: Handler, name: str, content: bytes) -> None:
        if left[0] > 0 and "Range" not in handler.headers:
            left[0] -= 1
            handler.send_part(content[:after], len(content), ETag=handler.stub.etags.get(name, ""))
        else:
            handler.send_file(name, content)

    return serve


def test_a_broken_transfer_goes_on_where_it_broke(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.serve = breaking(2, 30_000)  # the first transfer, and the look before going on
    lines: list[str] = []
    connect(stub, time, log=lines.append).download(NAME, place, verify_parquet)
    assert place.read_bytes() == stub.files[NAME]
    assert stub.asked["206"] == 1
    assert stub.if_ranges == ['"day-1"']
    assert any("going on after 30000 of" in line for line in lines)


def test_a_broken_transfer_goes_on_in_the_next_run(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.serve = breaking(1, 30_000)
    with pytest.raises(DownloadBrokenError, match="broke off"):
        connect(stub, time, attempts=1).download(NAME, place, verify_parquet)
    assert not place.exists()
    connect(stub, time, attempts=1).download(NAME, place, verify_parquet)
    assert place.read_bytes() == stub.files[NAME]
    assert stub.asked["206"] == 1


def test_without_a_strong_etag_a_broken_transfer_starts_anew(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.etags[NAME] = 'W/"day-1"'
    stub.serve = breaking(1, 30_000)
    connect(stub, time).download(NAME, place, verify_parquet)
    assert place.read_bytes() == stub.files[NAME]
    assert stub.asked["206"] == 0


def test_a_day_that_changes_in_mid_transfer_is_not_spliced(stub: Stub, time: FakeTime, place: Path) -> None:
    def serve(handler: Handler, name: str, content: bytes) -> None:
        if handler.stub.etags[name] == '"day-1"':
            handler.send_part(content[:30_000], len(content), ETag='"day-1"')
            handler.stub.files[name], handler.stub.etags[name] = parquet(2), '"day-2"'
        else:
            handler.send_file(name, content)

    stub.serve = serve
    connect(stub, time).download(NAME, place, verify_some)
    assert place.read_bytes() == parquet(2)


def _ignores_range(handler: Handler, content: bytes) -> None:
    handler.reply(200, content, ETag='"day-1"')


def _wrong_start(handler: Handler, content: bytes) -> None:
    size = len(content)
    handler.reply(206, content[100 : 100 + size - 30_000], ETag='"day-1"', Content_Range=f"bytes 100-{size - 1}/{size}")


def _wrong_total(handler: Handler, content: bytes) -> None:
    handler.reply(206, content[30_000:], ETag='"day-1"', Content_Range=f"bytes 30000-{len(content) - 1}/*")


def _other_content(handler: Handler, content: bytes) -> None:
    rest, size = parquet(9)[30_000:], len(content)
    handler.reply(206, rest, ETag='"day-9"', Content_Range=f"bytes 30000-{size - 1}/{size}")


def _no_label(handler: Handler, content: bytes) -> None:
    size = len(content)
    handler.reply(206, parquet(9)[30_000:], Content_Range=f"bytes 30000-{size - 1}/{size}")


def _out_of_range(handler: Handler, content: bytes) -> None:
    handler.reply(416, b"")


@pytest.mark.parametrize(
    "answer", [_ignores_range, _wrong_start, _wrong_total, _other_content, _no_label, _out_of_range]
)
def test_a_server_that_answers_a_range_wrongly_is_not_believed(
    stub: Stub, time: FakeTime, place: Path, answer: Any
) -> None:
    broken = [True]

    def serve(handler: Handler, name: str, content: bytes) -> None:
        if "Range" in handler.headers:
            answer(handler, content)
        elif broken.pop() if broken else False:
            handler.send_part(content[:30_000], len(content), ETag='"day-1"')
        else:
            handler.send_file(name, content)

    stub.serve = serve
    connect(stub, time).download(NAME, place, verify_some)
    assert place.read_bytes() == stub.files[NAME]


def test_a_file_that_always_breaks_off_ends_in_its_name(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.serve = lambda handler, name, content: handler.send_part(content[:500], len(content))
    with pytest.raises(DownloadCorruptError, match=r"broke off.*attempt 3 of 3"):
        connect(stub, time).download(NAME, place, verify_parquet)
    assert names(place) == set()


def test_a_line_that_breaks_again_and_again_still_brings_a_large_file(stub: Stub, time: FakeTime, place: Path) -> None:
    """An attempt that brought a good piece is no failed one; one that brought little is."""
    stub.files[NAME] = bytes(range(256)) * (5 << 12)  # 5 MiB

    def serve(handler: Handler, name: str, content: bytes) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if "Range" in handler.headers:
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.send_header("ETag", '"day-1"')
        handler.end_headers()
        handler.wfile.write(content[start : start + piece])
        handler.close_connection = True

    stub.serve, piece = serve, 6 << 18
    receipt = connect(stub, time, attempts=2).download(NAME, place, verify_some)
    assert receipt.sha256 == hashlib.sha256(stub.files[NAME]).hexdigest()
    place.unlink()
    piece = 1 << 17
    with pytest.raises(DownloadBrokenError, match="attempt 2 of 2"):
        connect(stub, time, attempts=2).download(NAME, place, verify_some)
