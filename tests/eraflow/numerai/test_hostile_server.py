"""Every fault of the sandbox, met by the real client: it passes, or it ends in the error that names it."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from eraflow.numerai.client import Tournament
from eraflow.numerai.errors import (
    ClockSkewError,
    DeadlineError,
    DownloadBrokenError,
    DownloadCorruptError,
    DownloadSlowError,
    OddAnswerError,
    RoundClosedError,
    ServerFaultError,
    SubmissionRejectedError,
    TournamentError,
    UploadAlteredError,
    UploadFaultError,
    UploadLostError,
    UploadRefusedError,
    WrongKeyError,
)
from eraflow.numerai.filecheck import verify_json, verify_parquet
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.submission_csv import write_submission
from eraflow.sandbox.faults import LASTING, Faults
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import SandboxAddress, sandbox
from eraflow.settings.source import SandboxSettings

SMALL = SandboxSettings(train_eras=30, validation_eras=20, rows_per_era=40, features=12)
NAME = "v5.3/train.parquet"
ROUND = 1404


class Hostile:
    """The running sandbox with its switchboard; every test gets it without faults and with an open round."""

    def __init__(self, address: SandboxAddress, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        """A tenth of what is asked: the sandbox decides within a fifth of a second."""
        self.pauses.append(seconds)
        time.sleep(seconds / 10)

    def arm(self, **counts: int) -> None:
        self._post("faults", counts)

    def round(self, **spec: Any) -> None:
        self._post("round", spec)

    def _post(self, switch: str, values: dict[str, Any]) -> None:
        requests.post(f"{self.address.url}/sandbox/{switch}", json=values, timeout=10).raise_for_status()

    def received(self) -> list[dict[str, Any]]:
        return list(requests.get(f"{self.address.url}/sandbox/submissions", timeout=10).json())

    def client(self, **options: Any) -> Tournament:
        endpoint = Endpoint(self.address.url, self.address.public_id, self.address.secret_key)
        settings = {"call_seconds": 5, "transfer_seconds": 20, "attempts": 3, "jitter": lambda: 0.01, **options}
        told = {"log": self.lines.append, "warn": self.warnings.append, "sleep": self.sleep}
        return Tournament(endpoint, **{**told, **settings})

    def sha(self, name: str) -> str:
        return hashlib.sha256((self.folder / Path(name).name).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SandboxAddress, Path]]:
    folder = generate(tmp_path_factory.mktemp("data"), SMALL)
    with sandbox(folder, tmp_path_factory.mktemp("state")) as address:
        yield address, folder


@pytest.fixture
def server(running: tuple[SandboxAddress, Path]) -> Hostile:
    hostile = Hostile(*running)
    hostile.arm(**dict.fromkeys(Faults.names(), 0))
    hostile.round(state="open", number=ROUND)
    return hostile


@pytest.fixture
def csv(server: Hostile, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A good submission, of other bytes in every test."""
    ids = pq.read_table(server.folder / "live.parquet", columns=["id"])["id"].to_pylist()
    salt = int(hashlib.sha256(request.node.name.encode()).hexdigest()[:6], 16)
    values = [(salt * (row + 1)) % 10_007 for row in range(len(ids))]
    return write_submission(ids, values, tmp_path / "submission.csv")


def fetch(server: Hostile, place: Path, name: str = NAME, **options: Any) -> Any:
    return server.client(**options).download(name, place / Path(name).name, verify_parquet)


def submit(server: Hostile, csv: Path, **options: Any) -> Any:
    client = server.client(**options)
    return client.submit(csv, client.model_id(None), ROUND, confirm_seconds=10, replace=True)


# --- the API ---


@pytest.mark.parametrize("fault", ["server_500", "api_html", "api_502", "api_429"])
def test_an_api_that_fails_for_a_while_is_asked_again(server: Hostile, fault: str) -> None:
    server.arm(**{fault: 2})
    assert NAME in server.client().list_files()
    assert len(server.pauses) == 2
    if fault == "api_429":
        assert server.pauses == [1.0, 1.0]  # Retry-After: 1, twice


@pytest.mark.parametrize(
    ("fault", "says"), [("server_500", "500"), ("api_html", "not JSON"), ("api_502", "502"), ("api_429", "429")]
)
def test_an_api_that_keeps_failing_is_named(server: Hostile, fault: str, says: str) -> None:
    server.arm(**{fault: LASTING})
    with pytest.raises(ServerFaultError, match=rf"{says}.*attempt 2 of 2"):
        server.client(attempts=2).list_files()


def test_an_api_without_an_answer_ends_at_the_deadline(server: Hostile) -> None:
    server.arm(api_hang=1)
    assert NAME in server.client(call_seconds=0.4).list_files()
    server.arm(api_hang=LASTING)
    started = time.monotonic()
    with pytest.raises(DeadlineError, match=r"no answer within 0\.4 s"):
        server.client(call_seconds=0.4, attempts=2).list_files()
    assert time.monotonic() - started < 3


# --- downloads ---


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


# --- uploads ---


@pytest.mark.parametrize("fault", ["put_500", "put_reset", "put_lost", "put_403", "put_altered"])
def test_an_upload_that_fails_once_is_repeated(server: Hostile, csv: Path, fault: str) -> None:
    before = len([row for row in server.received() if row["status"] == "success"])
    server.arm(**{fault: 1})
    state = submit(server, csv)
    assert (state.accepted, state.selected, state.already, state.compared) == (True, True, False, "same")
    found = [row for row in server.received() if row["status"] == "success"]
    assert len(found) == before + (2 if fault == "put_altered" else 1)
    assert found[-1]["sha256"] == hashlib.sha256(csv.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("put_403", UploadRefusedError),
        ("put_500", UploadFaultError),
        ("put_reset", TournamentError),
        ("put_lost", UploadLostError),
        ("put_skewed", ClockSkewError),
        ("validation_fails", SubmissionRejectedError),
        ("wrong_key", WrongKeyError),
    ],
)
def test_an_upload_that_always_fails_is_named_and_goes_through_afterwards(
    server: Hostile, csv: Path, fault: str, error: type[TournamentError]
) -> None:
    before = len([row for row in server.received() if row["status"] == "success"])
    server.arm(**{fault: LASTING})
    with pytest.raises(error) as caught:
        submit(server, csv, attempts=2)
    assert not caught.value.may_have_arrived
    assert "Signature" not in str(caught.value)
    assert len([row for row in server.received() if row["status"] == "success"]) == before
    server.arm(**{fault: 0})
    assert submit(server, csv).accepted


def test_an_upload_that_is_always_altered_is_named(server: Hostile, csv: Path) -> None:
    server.arm(put_altered=LASTING)
    with pytest.raises(UploadAlteredError, match=r"1 of 40 differ.*attempt 2 of 2") as caught:
        submit(server, csv, attempts=2)
    assert caught.value.may_have_arrived
    server.arm(put_altered=0)
    again = submit(server, csv)  # recognised by its name, seen to be altered, sent again
    assert (again.already, again.compared) == (False, "same")


def test_odd_states_are_looked_at_again_and_a_refused_download_is_no_fault(server: Hostile, csv: Path) -> None:
    server.arm(readback_refused=1)
    client = server.client()
    model = client.model_id(None)
    state = client.submit(csv, model, ROUND, 10, replace=True)
    assert state.accepted
    assert "switched off" in state.compared
    server.arm(submissions_odd=LASTING)
    with pytest.raises(OddAnswerError, match=r"submissions\.\d+\.insertedAt is 20261121"):
        client.submit(csv, model, ROUND, 10, replace=True)


def test_a_refused_clock_says_to_set_it(server: Hostile, csv: Path) -> None:
    server.arm(put_skewed=1)
    with pytest.raises(ClockSkewError, match=r"RequestTimeTooSkewed.*set the clock of this machine"):
        submit(server, csv)


# --- submissions ---


@pytest.mark.parametrize(("fault", "filed"), [("create_lost", 1), ("create_refused", 1), ("create_twice", 2)])
def test_a_submission_is_filed_once_whatever_is_answered(server: Hostile, csv: Path, fault: str, filed: int) -> None:
    before = len(server.received())
    server.arm(**{fault: 1})
    state = submit(server, csv)
    assert state.accepted
    again = submit(server, csv)
    assert (again.accepted, again.already) == (True, True)
    assert len(server.received()) == before + filed


# --- rounds ---


def test_a_round_that_opens_late_is_waited_for(server: Hostile) -> None:
    server.round(number=ROUND, opens_in=0.8)
    assert server.client().current_round() is None
    assert server.client().wait_for_round(wait_seconds=10, poll_seconds=0.2).number == ROUND
    assert any("waiting for a round to open" in line for line in server.lines)


def test_a_round_that_is_closed_is_named_and_nothing_is_sent(server: Hostile, csv: Path) -> None:
    server.round(state="closed", number=ROUND)
    before = len(server.received())
    with pytest.raises(RoundClosedError, match="no round is open"):
        server.client().wait_for_round(wait_seconds=0.3, poll_seconds=0.1)
    with pytest.raises(RoundClosedError):
        submit(server, csv)
    assert len(server.received()) == before


@pytest.mark.parametrize("fault", ["closes_after_live", "closes_after_put"])
def test_a_round_that_closes_early_is_named_and_nothing_is_filed(
    server: Hostile, csv: Path, tmp_path: Path, fault: str
) -> None:
    server.arm(**{fault: 1})
    before = len(server.received())
    assert server.client().wait_for_round(wait_seconds=1, poll_seconds=0.1).is_open
    fetch(server, tmp_path, "v5.3/live.parquet")
    with pytest.raises(RoundClosedError) as caught:
        submit(server, csv)
    assert "no round is open" in str(caught.value) or "closed before the upload was registered" in str(caught.value)
    assert len(server.received()) == before
    server.round(number=ROUND)
    assert submit(server, csv).accepted


def test_multipliers_are_those_of_the_round_that_is_submitted(server: Hostile, csv: Path, tmp_path: Path) -> None:
    server.arm(multipliers_double=1)
    client = server.client()
    assert client.wait_for_round(wait_seconds=1, poll_seconds=0.1).multipliers == {"corr60": 3.0, "mmc60": 15.0}
    client.download("v5.3/live.parquet", tmp_path / "live.parquet", verify_parquet)
    state = client.submit(csv, client.model_id(None), ROUND, confirm_seconds=10, replace=True)
    assert state.multipliers == {"corr60": 6.0, "mmc60": 30.0}
    assert state.as_dict()["multipliers"] == state.multipliers
    assert any("multipliers of round 1404 have changed" in line for line in server.warnings)
    server.round(number=ROUND + 1, multipliers={"corr60": 1.0})
    server.warnings.clear()
    found = client.current_round()
    assert found is not None
    assert found.multipliers == {"corr60": 1.0}  # another round pays otherwise: nothing has changed
    assert server.warnings == []


# --- the clock ---


@pytest.mark.parametrize(("hours", "words"), [(1, "60 min behind"), (-1, "60 min ahead of")])
def test_rounds_are_judged_by_the_clock_of_the_server(server: Hostile, hours: int, words: str) -> None:
    """A minute after the opening, and half an hour before the end: this machine's clock would deny both."""
    server.arm(clock_offset=3600 * hours)
    server.round(number=ROUND, opens_in=-60, open_seconds=1800)
    client = server.client()
    found = client.wait_for_round(wait_seconds=0, poll_seconds=0.1)
    assert found.is_open
    assert not found.open_time < datetime.now(UTC) < found.close_time
    assert abs(client.clock_offset() - timedelta(hours=hours)) < timedelta(seconds=3)
    assert len(server.warnings) == 1
    assert words in server.warnings[0]
    assert "set the clock" in server.warnings[0]


def test_a_wrong_clock_does_not_stop_a_submission(server: Hostile, csv: Path) -> None:
    server.arm(clock_offset=-3600)
    server.round(number=ROUND, opens_in=-60, open_seconds=1800)
    assert submit(server, csv).accepted


def test_a_right_clock_is_not_talked_about(server: Hostile) -> None:
    client = server.client()
    assert client.clock_offset() == timedelta(0)
    assert server.warnings == []


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


def test_every_fault_is_met_in_this_file() -> None:
    """A fault that nobody arms proves nothing."""
    text = Path(__file__).read_text()
    assert [name for name in Faults.names() if text.count(name) == 0] == []
