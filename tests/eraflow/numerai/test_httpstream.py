"""One GET: refusals, faults, silence and detours have their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from eraflow.numerai import httpstream
from eraflow.numerai.errors import (
    DeadlineError,
    DownloadBrokenError,
    DownloadRefusedError,
    OverallDeadlineError,
    ServerDownError,
    ServerFaultError,
)
from eraflow.numerai.filecheck import verify_parquet
from tests.eraflow.numerai.conftest import NAME, connect
from tests.eraflow.numerai.stubserver import DROP, HANG, FakeTime, Handler, Stub

pytestmark = pytest.mark.usefixtures("served")


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


def test_compressed_or_unencrypted_detours_are_refused(stub: Stub, time: FakeTime, place: Path) -> None:
    stub.serve = lambda handler, name, content: handler.reply(200, content, Content_Encoding="gzip")
    with pytest.raises(DownloadRefusedError, match="compressed"):
        connect(stub, time).download(NAME, place, verify_parquet)
    answer = httpstream.requests.Response()
    answer.status_code, answer.url = 200, "http://elsewhere/file"
    with pytest.raises(DownloadRefusedError, match="without TLS"):
        httpstream._check_answer("f", "https://files/f", answer, ())
