"""The client against the embedded sandbox: the road that `make run` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from eraflow.numerai.client import Tournament
from eraflow.numerai.errors import (
    NoSuchFileError,
    RoundClosedError,
    SubmissionRejectedError,
    UploadRefusedError,
    WrongKeyError,
)
from eraflow.numerai.filecheck import verifier
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.submission import SubmissionRecord, check_submission
from eraflow.numerai.submission_csv import write_submission
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import SandboxAddress, sandbox
from eraflow.settings.source import SandboxSettings

SMALL = SandboxSettings(train_eras=30, validation_eras=20, rows_per_era=40, features=12)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxAddress]:
    folder = generate(tmp_path_factory.mktemp("data"), SMALL)
    with sandbox(folder, tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def tournament(address: SandboxAddress) -> Tournament:
    endpoint = Endpoint(address.url, address.public_id, address.secret_key)
    return Tournament(endpoint, call_seconds=20, attempts=3, jitter=lambda: 0.01)


@pytest.fixture
def arm(address: SandboxAddress) -> Callable[..., None]:
    def change(switch: str, **values: Any) -> None:
        requests.post(f"{address.url}/sandbox/{switch}", json=values, timeout=10).raise_for_status()

    return change


def test_a_week(tournament: Tournament, tmp_path: Path) -> None:
    current = tournament.wait_for_round(wait_seconds=10, poll_seconds=0.5)
    assert current.is_open
    assert current.multipliers == {"corr60": 3.0, "mmc60": 15.0}
    receipts = {
        name: tournament.download(name, tmp_path / name, verifier(name)) for name in tournament.list_files("v5.3")
    }
    assert {"v5.3/features.json", "v5.3/train.parquet", "v5.3/live.parquet"} <= set(receipts)
    again = tournament.download("v5.3/live.parquet", tmp_path / "v5.3/live.parquet", verifier("live.parquet"))
    assert again.reused
    ids = pq.read_table(tmp_path / "v5.3/live.parquet", columns=["id"])["id"].to_pylist()
    csv = write_submission(ids, [(7 * row) % 97 for row in range(len(ids))], tmp_path / "submission.csv")
    check_submission(csv, ids, SubmissionRecord.sha256_of(csv)).require()
    model_id = tournament.model_id(None)
    state = tournament.submit(csv, model_id, current.number, confirm_seconds=20)
    assert (state.accepted, state.round_number, state.selected) == (True, current.number, True)
    repeated = tournament.submit(csv, model_id, current.number, confirm_seconds=20)
    assert (repeated.already, repeated.id) == (True, state.id)


def test_what_the_sandbox_refuses_has_a_name(
    tournament: Tournament, tmp_path: Path, arm: Callable[..., None], address: SandboxAddress
) -> None:
    model_id = tournament.model_id("eraflow")
    csv = write_submission(["nfeed", "nbeef"], [1, 2], tmp_path / "foreign.csv")
    with pytest.raises(SubmissionRejectedError, match="invalid_submission_ids"):
        tournament.submit(csv, model_id, 1404, confirm_seconds=20, replace=True)
    arm("faults", put_403=2)
    with pytest.raises(UploadRefusedError, match=r"403.*attempt 2 of 2"):
        tournament.submit(csv, model_id, 1404, confirm_seconds=20, replace=True)
    with pytest.raises(WrongKeyError, match="401"):
        Tournament(Endpoint(address.url, "WRONG", "KEY")).models()
    with pytest.raises(NoSuchFileError):
        tournament.download("v4/live.parquet", tmp_path / "live.parquet", verifier("live.parquet"))
    arm("faults", server_500=2)
    assert tournament.list_files("v5.3")


def test_a_closed_round(tournament: Tournament, tmp_path: Path, arm: Callable[..., None]) -> None:
    arm("round", state="closed")
    try:
        assert tournament.current_round() is None
        with pytest.raises(RoundClosedError, match="no round is open; the next one opens at 20"):
            tournament.wait_for_round(wait_seconds=0, poll_seconds=1)
        csv = write_submission(["n1", "n2"], [1, 2], tmp_path / "s.csv")
        with pytest.raises(RoundClosedError):
            tournament.submit(csv, tournament.model_id(None), 1404, confirm_seconds=5, replace=True)
    finally:
        arm("round", state="open")
