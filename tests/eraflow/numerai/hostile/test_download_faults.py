"""A download that breaks arrives whole, or ends in the error that names it."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from eraflow.numerai.errors import (
    DownloadBrokenError,
    DownloadCorruptError,
    DownloadSlowError,
    ServerFaultError,
    TournamentError,
)
from eraflow.numerai.filecheck import verify_json, verify_parquet
from eraflow.sandbox.faults import LASTING
from tests.eraflow.numerai.hostile.conftest import NAME, Hostile, fetch


@pytest.mark.parametrize("fault", ["file_500", "file_truncated", "file_short", "file_hang", "file_drip"])
def test_a_download_that_breaks_once_arrives_whole(server: Hostile, tmp_path: Path, fault: str) -> None:
    server.arm(**{fault: 1})
    receipt = fetch(server, tmp_path, call_seconds=0.6)
    assert receipt.sha256 == server.sha(NAME) == hashlib.sha256((tmp_path / "train.parquet").read_bytes()).hexdigest()
    resumed = any("going on after" in line for line in server.lines)
    assert resumed == (fault in ("file_truncated", "file_hang", "file_drip")), server.lines


def test_a_bit_that_flips_on_the_way_is_noticed_by_the_servers_checksum(server: Hostile, tmp_path: Path) -> None:
    server.arm(file_flipped=1)
    assert fetch(server, tmp_path).sha256 == server.sha(NAME)
    assert any("not those that the server speaks of" in line for line in server.lines)


def test_the_same_flipped_bit_every_time_is_named_where_the_labels_are_known_to_be_checksums(
    server: Hostile, tmp_path: Path
) -> None:
    client = server.client()
    client.download("v5.3/features.json", tmp_path / "features.json", verify_json)
    server.arm(file_flipped=LASTING)
    with pytest.raises(DownloadCorruptError, match=r"not those that the server speaks of.*fetched twice"):
        client.download(NAME, tmp_path / "train.parquet", verify_parquet)
    assert not (tmp_path / "train.parquet").exists()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("file_500", ServerFaultError),
        ("file_truncated", DownloadBrokenError),
        ("file_short", DownloadCorruptError),
        ("file_hang", DownloadBrokenError),
        ("file_drip", DownloadSlowError),
    ],
)
def test_a_download_that_always_breaks_is_named_in_good_time(
    server: Hostile, tmp_path: Path, fault: str, error: type[TournamentError]
) -> None:
    server.arm(**{fault: LASTING})
    started = time.monotonic()
    with pytest.raises(error) as caught:
        fetch(server, tmp_path, call_seconds=0.6, attempts=2)
    assert time.monotonic() - started < 6
    assert not (tmp_path / "train.parquet").exists()
    assert "Signature" not in str(caught.value)
    server.arm(**{fault: 0})
    assert fetch(server, tmp_path).sha256 == server.sha(NAME)


def test_the_rest_of_another_version_is_never_spliced_on(server: Hostile, tmp_path: Path) -> None:
    """The same ETag, length and footer: only the bytes tell."""
    server.arm(file_spliced=1)
    receipt = fetch(server, tmp_path)
    assert receipt.sha256 == server.sha(NAME)
    assert any("other bytes under the same label" in line for line in server.lines)


def test_a_server_that_ignores_range_gives_the_file_once(server: Hostile, tmp_path: Path) -> None:
    server.arm(file_truncated=1, file_no_range=1)
    receipt = fetch(server, tmp_path)
    assert (receipt.sha256, receipt.bytes) == (server.sha(NAME), (server.folder / "train.parquet").stat().st_size)
    assert not any("going on after" in line for line in server.lines)


def test_a_slow_line_is_no_stalled_one(server: Hostile, tmp_path: Path) -> None:
    """The rate is taken over `call_seconds`: what is done before is never too slow."""
    server.arm(file_drip=1)
    with pytest.raises(DownloadSlowError, match=r"less than 10,000 a second"):
        fetch(server, tmp_path, call_seconds=0.5, attempts=1)
    server.arm(file_drip=2)  # the look, and the rest
    with pytest.raises(TournamentError, match="not finished within 1 s"):
        fetch(server, tmp_path, call_seconds=0.3, transfer_seconds=1, attempts=1, least_rate=1)
    server.arm(file_drip=0)
    assert fetch(server, tmp_path).sha256 == server.sha(NAME)


DOWNLOADER = """
import sys
from pathlib import Path
from eraflow.numerai.client import Endpoint, Tournament
from eraflow.numerai.filecheck import verify_parquet
url, public, secret, name, place = sys.argv[1:]
Tournament(Endpoint(url, public, secret), least_rate=0).download(name, Path(place), verify_parquet)
"""


def killed_download(server: Hostile, place: Path) -> int:
    """SIGKILL a process in the middle of a download; the bytes that it left."""
    server.arm(file_hang=1)
    given = [server.address.url, server.address.public_id, server.address.secret_key, NAME, str(place)]
    child = subprocess.Popen([sys.executable, "-c", DOWNLOADER, *given])
    left = place.with_name(f"{place.name}.partial")
    deadline = time.monotonic() + 30
    while not (left.is_file() and left.stat().st_size > 1000):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert not place.exists()
    return left.stat().st_size


def test_what_a_killed_process_had_downloaded_is_continued_by_the_next(server: Hostile, tmp_path: Path) -> None:
    have = killed_download(server, tmp_path / "train.parquet")
    seen: list[int] = []
    receipt = server.client().download(
        NAME, tmp_path / "train.parquet", verify_parquet, lambda done, _: seen.append(done)
    )
    assert receipt.sha256 == server.sha(NAME)
    assert any(f"going on after {have} of" in line for line in server.lines)
    assert seen[0] > have
    assert {path.name for path in tmp_path.iterdir()} - {".train.parquet.lock"} == {
        "train.parquet",
        "train.parquet.receipt.json",
    }


@pytest.mark.parametrize("change", ["another label", "other bytes under the same label"])
def test_what_a_killed_process_left_is_not_spliced_onto_another_version(
    server: Hostile, tmp_path: Path, change: str
) -> None:
    killed_download(server, tmp_path / "train.parquet")
    if change == "another label":
        note = tmp_path / "train.parquet.partial.json"
        note.write_text(note.read_text().replace('"etag": "', '"etag": "older'))
    else:
        left = tmp_path / "train.parquet.partial"
        left.write_bytes(bytes(byte ^ 1 for byte in left.read_bytes()))
    assert fetch(server, tmp_path).sha256 == server.sha(NAME)
    assert not any("going on after" in line for line in server.lines)


def test_this_week_s_damaged_live_file_is_served_as_asked(server: Hostile, tmp_path: Path) -> None:
    plain = fetch(server, tmp_path, "v5.3/live.parquet")
    server.arm(live_renamed=1)
    renamed = fetch(server, tmp_path, "v5.3/live.parquet")
    assert "feature_of_next_week" in pq.read_schema(renamed.path).names
    server.arm(live_nan=1)
    fetch(server, tmp_path, "v5.3/live.parquet")
    table = pq.read_table(tmp_path / "live.parquet")
    features = [name for name in table.column_names if name.startswith("feature")]
    missing = [int(table.column(name).to_pandas().isna().sum()) for name in features[:3]]
    assert missing[0] in range(1, table.num_rows)
    assert missing[1:] == [table.num_rows, 0]
    assert fetch(server, tmp_path, "v5.3/live.parquet").sha256 == plain.sha256
