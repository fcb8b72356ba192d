"""A disk that fills up during each kind of write: a named error, nothing corrupt, and it goes on once there is space.

The disk is a real one: a small file system in memory. Where none can be mounted (no rights) these tests are skipped.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest

from eraflow.disk.atomic import TEMPORARY, StorageError, write_bytes
from eraflow.erastore import erawriter
from eraflow.errors import EraflowError
from eraflow.machine.job import stage_function
from eraflow.machine.ledger import Ledger
from eraflow.machine.plan import Plan
from eraflow.numerai.client import Tournament
from eraflow.numerai.filecheck import verify_parquet
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.submission_csv import write_submission
from eraflow.runs import stage
from eraflow.runs.attempt import Work, attempt_stage
from eraflow.runs.weekrecord import write_outcome
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from eraflow.scoring.ranking import EraGroups
from eraflow.settings.machine import MachineSettings
from eraflow.settings.source import SandboxSettings
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.tracking import Tracker
from models.base.predictions import Predictions
from models.kinds import make_model
from tests.models.planted import FAST, PLAN, plant

DISK_MB = 80  # a download keeps 64 free for others
KEPT_FREE = 48 << 10  # bytes: enough for a directory entry, too little for any content below
NO_FLOOR = MachineSettings(threads=1, memory_mb=1000, disk_floor_mb=0)


class Disk:
    """A small disk that can be filled and emptied."""

    def __init__(self, path):
        self.path = path
        self.filler = path / "filler"

    def fill(self, leave=KEPT_FREE):
        found = os.statvfs(self.path)
        size = found.f_bavail * found.f_frsize - leave
        with self.filler.open("wb") as handle:
            handle.write(b"\0" * size)

    def empty(self):
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system can be mounted only with the rights of root")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def planted():
    return plant(eras=40, rows=400)


def plain_bytes(folder, planted, tmp_path):
    write_bytes(folder / "a.bin", os.urandom(200_000))


def era_store(folder, planted, tmp_path):
    file = tmp_path / "data.parquet"
    planted.frame().write_parquet(file)
    erawriter.write_era_store([file], planted.features, [], folder)


def predictions(folder, planted, tmp_path):
    rng = np.random.default_rng(1)
    groups = EraGroups(np.array([0, 20_000]))
    ids = np.array([f"n{i:015x}" for i in rng.integers(0, 2**50, 20_000)])
    Predictions(ids, ("0001",), groups, rng.normal(size=20_000)).write(folder / "oof.parquet")


def booster(folder, planted, tmp_path):
    model = make_model("lightgbm", {**FAST, "n_estimators": 300, "num_leaves": 31})
    model.fit(planted.x, planted.y, plan=PLAN, seed=1)
    model.save(folder / "model")


def submission(folder, planted, tmp_path):
    rng = np.random.default_rng(1)
    write_submission([f"n{i:015x}" for i in range(20_000)], rng.uniform(0.01, 0.99, 20_000), folder / "submission.csv")


def generated_data(folder, planted, tmp_path):
    generate(folder / "data", SandboxSettings(train_eras=40, validation_eras=20, rows_per_era=200, features=30))


def tracked_run(folder, planted, tmp_path):
    with Tracker(folder, TrackingSettings()).run("week", kind="ensemble", tags={"signature": "s"}) as run:
        run.log_per_era("corr", [f"{i:04d}" for i in range(300)], list(np.linspace(0, 1, 300)))


WRITERS = [plain_bytes, era_store, predictions, booster, submission, generated_data, tracked_run]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_full_disk_is_named_leaves_nothing_broken_and_can_be_gone_on_from(
    disk, planted, tmp_path, write, monkeypatch
):
    monkeypatch.setattr(erawriter, "_check_space", lambda *_: None)  # it fills up later than anybody looked
    folder = disk.path / "made"
    folder.mkdir()
    disk.fill()
    with pytest.raises(EraflowError, match=r"disk is full|disk I/O|full") as caught:
        write(folder, planted, tmp_path)
    assert caught.value.remedy
    assert list(folder.rglob(f".*{TEMPORARY}")) == []
    disk.empty()
    write(folder, planted, tmp_path)
    assert any(path.is_file() for path in folder.rglob("*"))


def test_a_download_is_named_and_taken_up_again(disk, tmp_path):
    data = generate(
        tmp_path / "data", SandboxSettings(train_eras=80, validation_eras=20, rows_per_era=300, features=60)
    )
    place = disk.path / "train.parquet"
    with sandbox(data, tmp_path / "state") as address:
        endpoint = Endpoint(address.url, address.public_id, address.secret_key)
        client = Tournament(endpoint, call_seconds=10, transfer_seconds=30, attempts=2, log=lambda line: None)
        disk.fill(leave=300 << 10)
        with pytest.raises(EraflowError, match="free"):
            client.download("v5.3/train.parquet", place, verify_parquet)
        assert not place.exists()
        disk.empty()
        client.download("v5.3/train.parquet", place, verify_parquet)
    assert place.read_bytes() == (data / "train.parquet").read_bytes()


def test_an_attempt_whose_ledger_cannot_be_written_does_not_begin(disk):
    ledger = Ledger(disk.path / "ledger.jsonl")
    first = ledger.start(Plan())
    disk.fill(leave=0)

    def start_until_it_is_full():
        for _ in range(100):  # the block of the file that is there already takes some lines
            ledger.start(Plan())

    with pytest.raises(StorageError, match="disk is full"):
        start_until_it_is_full()
    disk.empty()
    ledger.finish(first, "ok")
    assert ledger.rows[0]["kind"] == "ok"
    assert ledger.start(Plan()) == len(ledger.rows)


@dataclass(frozen=True)
class Nothing:
    """What a stage takes that takes nothing."""


@stage_function(Nothing)
def fills_the_disk(_job, out, _plan):
    """A stage that writes more than there is."""
    with open(f"{out}/big.bin", "wb") as handle:
        for _ in range(2 * DISK_MB):
            handle.write(os.urandom(1 << 20))
    return {}


@stage_function(Nothing)
def writes_a_little(_job, out, _plan):
    with open(f"{out}/small.bin", "wb") as handle:
        handle.write(b"small")
    return {}


def test_a_stage_that_fills_the_disk_is_named_is_not_repeated_and_has_no_manifest(disk):
    job = Work("stage", f"{__name__}:fills_the_disk", Nothing())
    with pytest.raises(EraflowError, match=r"disk is full|No space left|free") as caught:
        attempt_stage(job, disk.path, NO_FLOOR, log=lambda line: None)
    assert caught.value.kind == "disk_full"
    assert not (disk.path / "stage" / stage.MANIFEST).exists()
    shutil.rmtree(disk.path / "stage", ignore_errors=True)
    small = Work("stage", f"{__name__}:writes_a_little", Nothing())
    assert attempt_stage(small, disk.path, NO_FLOOR, log=lambda line: None).files["small.bin"].bytes == 5


def test_a_record_that_cannot_be_written_says_so_and_the_older_one_stays(disk):
    write_outcome(disk.path, ValueError("first"))
    before = (disk.path / "record.json").read_bytes()
    disk.fill(leave=0)

    def write_until_it_is_full():
        for number in range(100):
            write_outcome(disk.path, ValueError("x" * 3000 * (number + 1)))

    with pytest.raises(StorageError, match="disk is full"):
        write_until_it_is_full()
    disk.empty()
    after = (disk.path / "record.json").read_bytes()
    assert after == before or b"xxx" in after  # an old one or a new one, never half of one
    assert after.endswith(b"}\n")
