"""A running sandbox whose faults are armed by a test, and the real client that meets them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from eraflow.numerai.client import Tournament
from eraflow.numerai.filecheck import verify_parquet
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.submission_csv import write_submission
from eraflow.sandbox.faults import Faults
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


@pytest.fixture(scope="package")
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
