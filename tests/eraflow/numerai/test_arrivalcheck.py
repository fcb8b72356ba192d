"""Content that arrives damaged is fetched once more, and never takes the place of a good file."""

from __future__ import annotations

from pathlib import Path

import pytest

from eraflow.numerai.errors import DownloadCorruptError
from eraflow.numerai.filecheck import verify_parquet
from eraflow.numerai.receipts import receipt_path
from tests.eraflow.numerai.conftest import NAME, connect, names
from tests.eraflow.numerai.stubserver import FakeTime, Stub

pytestmark = pytest.mark.usefixtures("served")


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
