"""The sandbox runs an uploaded model for real: what it predicts is filed, what it raises is in its log."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests

from eraflow.numerai.client import Tournament
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.pickledelivery import DeliveredModel, Waits
from eraflow.numerai.pickleerrors import PickleRejectedError
from eraflow.numerai.pickleupload import WantedUpload
from eraflow.rehearsal.environment import rehearsal_folder
from eraflow.sandbox.process import SandboxAddress, sandbox
from tests.eraflow.rehearsal.environments import BUILT, KEPT, interpreter

pytestmark = BUILT
WAITS = Waits(120.0, 30.0)
HONEST = """
def predict(live, benchmarks):
    import pandas
    ranks = live.filter(like="feature_").sum(axis=1).rank(method="first")
    return pandas.DataFrame({"prediction": (ranks - 0.5) / len(ranks)}, index=live.index)
"""
BROKEN = """
def predict(live, benchmarks):
    raise ValueError("no such feature here")
"""


@pytest.fixture
def address(small_folder: Path, tmp_path: Path) -> Iterator[SandboxAddress]:
    with sandbox(small_folder, tmp_path / "state", rehearsals=rehearsal_folder(KEPT)) as running:
        yield running


@pytest.fixture
def tournament(address: SandboxAddress) -> Tournament:
    endpoint = Endpoint(address.url, address.public_id, address.secret_key)
    return Tournament(endpoint, call_seconds=30, attempts=3, jitter=lambda: 0.01)


@pytest.fixture
def deliver(tournament: Tournament, tmp_path: Path) -> Callable[[str], DeliveredModel]:
    """Deliver a function that the environment itself has pickled."""
    python = interpreter("3.11")

    def send(source: str) -> DeliveredModel:
        path = tmp_path / "model.pkl"
        code = f"{source}\nimport cloudpickle\nopen({str(path)!r}, 'wb').write(cloudpickle.dumps(predict))"
        subprocess.run([str(python), "-I", "-c", code], check=True)
        wanted = WantedUpload(path, sha256(path.read_bytes()).hexdigest(), "3.11", "v5.3")
        current = tournament.current_round()
        return tournament.deliver_model(wanted, tournament.model_id(None), current, WAITS, lambda *_: None)

    return send


def test_what_a_model_predicts_is_filed_and_diagnosed(
    deliver: Callable[[str], DeliveredModel], tournament: Tournament, address: SandboxAddress
) -> None:
    found = deliver(HONEST)
    assert found.submission is not None
    assert found.submission.accepted
    filed: list[dict[str, Any]] = requests.get(f"{address.url}/sandbox/submissions", timeout=10).json()
    assert [(row["rows"], row["error"], row["selected"]) for row in filed] == [(60, None, True)]
    told = tournament.diagnostics(tournament.model_id(None), found.pickle, 120.0)
    assert told is not None
    assert told.is_done
    assert len(told.eras) > 5
    assert told.mean == pytest.approx(sum(told.eras.values()) / len(told.eras))


def test_what_a_model_raises_is_in_the_error(deliver: Callable[[str], DeliveredModel]) -> None:
    with pytest.raises(PickleRejectedError, match="no such feature here"):
        deliver(BROKEN)
