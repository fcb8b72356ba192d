"""A file arrives whole with a receipt, is reused while it is the same, and is fetched by one at a time."""

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

import pytest

from eraflow.disk.atomic import StorageError
from eraflow.numerai import download
from eraflow.numerai.client import Tournament
from eraflow.numerai.errors import ApiRefusedError, NoSuchFileError
from eraflow.numerai.filecheck import verify_parquet
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.receipts import receipt_path
from tests.eraflow.numerai.conftest import NAME, connect, names, parquet
from tests.eraflow.numerai.stubserver import PUBLIC, SECRET, FakeTime, Stub

pytestmark = pytest.mark.usefixtures("served")


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
