from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eraflow.disk.atomic import StorageError
from eraflow.numerai import download, httpstream
from eraflow.numerai.client import Tournament
from eraflow.numerai.errors import (
    ApiRefusedError,
    DeadlineError,
    DownloadBrokenError,
    DownloadCorruptError,
    DownloadRefusedError,
    NoSuchFileError,
    OverallDeadlineError,
    ServerDownError,
    ServerFaultError,
)
from eraflow.numerai.filecheck import verifier, verify_json, verify_parquet, verify_some
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.receipts import receipt_path
from tests.eraflow.numerai.stubserver import (
    DROP,
    HANG,
    PUBLIC,
    SECRET,
    FakeTime,
    Handler,
    Stub,
    stub_server,
)

NAME = "v5.3/live.parquet"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stub_server() as running:
        running.files[NAME] = parquet(1)
        running.etags[NAME] = '"day-1"'
        yield running


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "data" / "live.parquet"


def parquet(seed: int, rows: int = 4000) -> bytes:
    """Files of different content and the same size."""
    numbers = [(seed * 7919 + row * 104729) % 1_000_003 for row in range(rows)]
    table = pa.table({"feature_a": pa.array(numbers, pa.int32()), "id": pa.array([f"n{n:015x}" for n in numbers])})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", use_dictionary=False, row_group_size=1000, write_statistics=False)
    return sink.getvalue().to_pybytes()


def splice() -> bytes:
    """What resuming yesterday's transfer gives: the head of one day's file, the rest of another's."""
    one, two = (
        pa.table(
            {
                "feature_a": [(seed + row * row) % 97 for row in range(4000)],
                "id": [f"n{seed * row}" for row in range(4000)],
            }
        )
        for seed in (3, 999)
    )
    contents = []
    for table in (one, two):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=1000)
        contents.append(sink.getvalue().to_pybytes())
    half = min(map(len, contents)) // 2
    return contents[0][:half] + contents[1][half:]


def connect(stub: Stub, time: FakeTime, **options: Any) -> Tournament:
    settings = {"call_seconds": 5, "transfer_seconds": 60, "attempts": 3, "clock": time.clock, "jitter": lambda: 0.5}
    return Tournament(Endpoint(stub.url, PUBLIC, SECRET), sleep=time.sleep, **{**settings, **options})


def names(place: Path) -> set[str]:
    return {path.name for path in place.parent.iterdir() if not path.name.endswith(".lock")}


# --- downloads ---


def test_a_file_arrives_whole_with_a_receipt(stub: Stub, time: FakeTime, place: Path) -> None:
    seen: list[tuple[int, int]] = []
    receipt = connect(stub, time).download(NAME, place, verify_parquet, lambda *pair: seen.append(pair))
    content = stub.files[NAME]
    assert place.read_bytes() == content
    assert receipt.sha256 == hashlib.sha256(content).hexdigest()
    assert (receipt.name, receipt.path, receipt.bytes, receipt.reused) == (NAME, place, len(content), False)
    assert seen[-1] == (len(content), len(content))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    written = json.loads(receipt_path(place).read_text())
    assert written["sha256"] == receipt.sha256
    assert "secret" not in receipt_path(place).read_text()
    assert names(place) == {"live.parquet", "live.parquet.receipt.json"}


def test_the_same_content_is_reused_only_when_the_server_still_has_it(stub: Stub, time: FakeTime, place: Path) -> None:
    tournament = connect(stub, time)
    first = tournament.download(NAME, place, verify_parquet)
    again = tournament.download(NAME, place, verify_parquet)
    assert (again.reused, again.sha256) == (True, first.sha256)
    stub.files[NAME], stub.etags[NAME] = parquet(2), '"day-2"'  # the same name and size on another day
    assert len(stub.files[NAME]) == first.bytes
    fresh = tournament.download(NAME, place, verify_parquet)
    assert (fresh.reused, place.read_bytes()) == (False, stub.files[NAME])
    assert fresh.sha256 != first.sha256


def test_without_a_label_of_the_content_nothing_is_reused(stub: Stub, time: FakeTime, place: Path) -> None:
    del stub.etags[NAME]
    tournament = connect(stub, time)
    tournament.download(NAME, place, verify_parquet)
    stub.files[NAME] = parquet(2)
    assert tournament.download(NAME, place, verify_parquet).reused is False
    assert place.read_bytes() == stub.files[NAME]


def test_a_file_changed_on_disk_is_fetched_anew(stub: Stub, time: FakeTime, place: Path) -> None:
    tournament = connect(stub, time)
    tournament.download(NAME, place, verify_parquet)
    damaged = bytearray(place.read_bytes())
    damaged[1000] ^= 1
    place.write_bytes(damaged)
    assert tournament.download(NAME, place, verify_parquet).reused is False
    assert place.read_bytes() == stub.files[NAME]
    place.write_bytes(b"PAR1")
    assert tournament.download(NAME, place, verify_parquet).reused is False
    receipt_path(place).write_text("{")
    assert tournament.download(NAME, place, verify_parquet).reused is False


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


def test_a_server_that_announces_too_little_is_found_out(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.serve = lambda handler, name, content: handler.reply(200, content[:30_000])
    with pytest.raises(DownloadCorruptError, match=r"faulty: .*PAR1 is missing.*fetched twice"):
        connect(stub, time).download(NAME, place, verify_parquet)
    assert stub.asked["GET"] == 2  # the same bytes twice: not fetched a third time
    assert names(place) == set()


def test_damage_on_the_way_is_repaired_by_fetching_anew(stub: Stub, time: FakeTime, place: Path) -> None:
    bad = [b"PAR1" + b"\0" * 5000 + b"PAR1"]
    stub.serve = lambda handler, name, content: handler.reply(200, bad.pop() if bad else content)
    assert connect(stub, time).download(NAME, place, verify_parquet).bytes == len(stub.files[NAME])


def test_what_was_there_stays_when_the_new_one_is_faulty(stub: Stub, time: FakeTime, place: Path) -> None:
    tournament = connect(stub, time)
    tournament.download(NAME, place, verify_parquet)
    before = place.read_bytes()
    stub.files[NAME], stub.etags[NAME] = b"no parquet at all", '"day-2"'
    with pytest.raises(DownloadCorruptError):
        tournament.download(NAME, place, verify_parquet)
    assert place.read_bytes() == before
    assert receipt_path(place).exists()


def test_a_file_the_data_set_does_not_have(stub: Stub, time: FakeTime, place: Path) -> None:
    with pytest.raises(NoSuchFileError, match=r"no file 'v9/live.parquet'.*v5.3/live.parquet"):
        connect(stub, time).download("v9/live.parquet", place, verify_parquet)
    stub.fail("dataset", {"data": {"dataset": None}})
    with pytest.raises(NoSuchFileError):
        connect(stub, time).download("v9/live.parquet", place, verify_parquet)
    stub.fail("dataset", {"errors": [{"message": "data is being prepared"}]})
    with pytest.raises(ApiRefusedError, match="being prepared"):
        connect(stub, time).download(NAME, place, verify_parquet)
    stub.fail("GET", 404)
    with pytest.raises(NoSuchFileError, match="404"):
        connect(stub, time).download(NAME, place, verify_parquet)


def test_the_file_server_s_refusals_and_faults_have_names(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.fail("GET", 403, 403, 403)
    with pytest.raises(DownloadRefusedError, match="403") as caught:
        connect(stub, time).download(NAME, place, verify_parquet)
    assert stub.asked["GET"] == 1
    assert "secret" not in str(caught.value)
    stub.fail("GET", *[503] * 3)
    with pytest.raises(ServerFaultError, match=r"503 .*attempt 3 of 3"):
        connect(stub, time).download(NAME, place, verify_parquet)
    stub.fail("GET", *[DROP] * 3)
    with pytest.raises(ServerDownError, match="no connection") as caught_down:
        connect(stub, time).download(NAME, place, verify_parquet)
    assert "secret" not in str(caught_down.value)
    stub.fail("GET", 500, DROP)
    assert connect(stub, time).download(NAME, place, verify_parquet).reused is False


def test_silence_and_slowness_end_at_a_deadline(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.fail("GET", HANG)
    with pytest.raises((DeadlineError, ServerDownError)):
        connect(stub, time, call_seconds=0.3, attempts=1).download(NAME, place, verify_parquet)

    def stall(handler: Handler, name: str, content: bytes) -> None:
        handler.send_part(content[:500], len(content))
        handler.stub.released.wait(5)

    stub.serve = stall
    with pytest.raises(DownloadBrokenError, match=r"timed? ?out|timeout"):
        connect(stub, time, call_seconds=0.3, attempts=1).download(NAME, place, verify_parquet)

    def drip(handler: Handler, name: str, content: bytes) -> None:
        handler.send_part(content[:100], len(content))
        time.now += 50
        while not handler.stub.released.wait(0.02):
            handler.wfile.write(b"x")

    stub.serve = drip
    with pytest.raises(OverallDeadlineError, match="not finished within 40 s"):
        connect(stub, time, transfer_seconds=40).download(NAME, place, verify_parquet)


def test_a_full_disk_is_named_before_and_during(
    stub: Stub, time: FakeTime, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(download.shutil, "disk_usage", lambda _: usage(10, 10, 1 << 20))
        with pytest.raises(StorageError, match=r"needs 64 MiB in .*, 1 MiB are free; free some space"):
            connect(stub, time).download(NAME, place, verify_parquet)
    assert names(place) == set()

    def full(*_: Any) -> Iterator[bytes]:
        yield b"PAR1"
        raise AssertionError("the disk was full: nothing more should have been asked for")

    class Handle:
        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def __enter__(self) -> Handle:
            return self

        def __exit__(self, *_: Any) -> None:
            return None

    with monkeypatch.context() as patch:
        patch.setattr(download, "pieces", full)
        original = Path.open
        patch.setattr(
            Path,
            "open",
            lambda self, *a, **k: Handle() if self.name.endswith(".partial") else original(self, *a, **k),
        )
        with pytest.raises(StorageError, match="the disk is full"):
            connect(stub, time).download(NAME, place, verify_parquet)
    assert not place.exists()


def test_a_folder_that_is_a_file_is_named(stub: Stub, time: FakeTime, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises((StorageError, FileExistsError)) as caught:
        connect(stub, time).download(NAME, tmp_path / "data" / "live.parquet", verify_parquet)
    assert isinstance(caught.value, StorageError)


def test_two_at_once_fetch_once(stub: Stub, place: Path) -> None:
    receipts = []

    def fetch() -> None:
        tournament = Tournament(Endpoint(stub.url, PUBLIC, SECRET), call_seconds=5, transfer_seconds=20, attempts=3)
        receipts.append(tournament.download(NAME, place, verify_parquet))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(receipt.reused for receipt in receipts) == [False, True, True]
    assert place.read_bytes() == stub.files[NAME]


def test_compressed_or_unencrypted_detours_are_refused(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.serve = lambda handler, name, content: handler.reply(200, content, Content_Encoding="gzip")
    with pytest.raises(DownloadRefusedError, match="compressed"):
        connect(stub, time).download(NAME, place, verify_parquet)
    answer = httpstream.requests.Response()
    answer.status_code, answer.url = 200, "http://elsewhere/file"
    with pytest.raises(DownloadRefusedError, match="without TLS"):
        httpstream._check_answer("f", "https://files/f", answer, ())


# --- checks of files ---


def test_damaged_parquet_is_found(tmp_path: Path) -> None:
    path, good = tmp_path / "f.parquet", parquet(1)
    path.write_bytes(good)
    verify_parquet(path)
    half = len(good) // 2
    for damaged in (
        b"",
        b"PAR1",
        good[:-1],
        good[:half],
        good[half:],
        good + b"more",
        b"XXXX" + good[4:],
        good[:4] + b"\0" * 4000 + good[4004:],
        splice(),
        good[:-8] + (10**9).to_bytes(4, "little") + b"PAR1",
    ):
        path.write_bytes(damaged)
        with pytest.raises(DownloadCorruptError, match=r"f\.parquet"):
            verify_parquet(path)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    for content in (b"", b"{", b"{}", b"[]", b"3", b"\xff\xfe{}", b'{"a": 1'):
        path.write_bytes(content)
        with pytest.raises(DownloadCorruptError, match=r"features.json"):
            verify_json(path)
    path.write_bytes(b'{"feature_sets": {}}')
    verify_json(path)
    assert (verifier("v5.3/a.parquet"), verifier("b.JSON"), verifier("c.csv")) == (
        verify_parquet,
        verify_json,
        verify_some,
    )
    path.write_bytes(b"")
    with pytest.raises(DownloadCorruptError):
        verify_some(path)
