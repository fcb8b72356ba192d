"""Two real processes train together over gloo: to the model of one, and none waits for one that has failed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")
loop = pytest.importorskip("models.networks.loop")
twoprocesses = pytest.importorskip("tests.models.networks.twoprocesses")

pytestmark = pytest.mark.slow
LONGEST = 300
"""Seconds; without an end by name, gloo itself would wait for 1,800."""


@dataclass(frozen=True)
class Together:
    folder: Path
    codes: list[int]
    met: list[dict]

    def weights(self, name):
        return [torch.load(self.folder / f"{name}-{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    usual = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "tests.models.networks.twoprocesses", str(folder)]
    ranks = [
        subprocess.Popen(
            command, env={**usual, "RANK": rank, "LOCAL_RANK": rank}, stderr=(folder / f"log-{rank}").open("w")
        )
        for rank in ("0", "1")
    ]
    codes = [rank.wait(LONGEST) for rank in ranks]
    told = [folder / f"met-{rank}.json" for rank in (0, 1)]
    assert all(path.exists() for path in told), [(folder / f"log-{rank}").read_text()[-2000:] for rank in (0, 1)]
    return Together(folder, codes, [json.loads(path.read_text()) for path in told])


@pytest.fixture
def alone(monkeypatch):
    """One process, through Accelerate as well."""
    monkeypatch.setattr(loop, "device_of", loop.device_of)
    twoprocesses.on(accelerate.Accelerator(cpu=True))


@pytest.mark.parametrize("name", twoprocesses.STILL)
def test_two_have_the_weights_of_one_to_the_last_bit_where_the_pieces_are_the_same(name, together, alone):
    """By rows. Whole eras are shared out in another way, and their sums differ by rounding."""
    first, second = together.weights(name)
    expected = twoprocesses.trained_alike(name).state_dict()
    for key, tensor in expected.items():
        assert torch.equal(first[key], second[key])
        if name == "still":
            assert torch.equal(first[key], tensor)
        torch.testing.assert_close(first[key], tensor, rtol=1e-4, atol=1e-6)


def test_buffers_of_every_type_agree(together):
    first, second = together.weights("buffers")
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key])
    assert first["norm.num_batches_tracked"] == 9


def test_a_model_that_is_stopped_by_eras_kept_back_is_that_of_one(together, alone, monkeypatch):
    monkeypatch.setattr("models.networks.networkmodel.usable_device", lambda plan: "cuda")
    expected = twoprocesses.fitted_mlp()
    found = [np.load(together.folder / f"mlp-{rank}.npz") for rank in (0, 1)]
    assert [met["updates"] for met in together.met] == [expected.trained_with["updates"]] * 2
    for name, weights in expected._weights.items():
        assert found[0][name].tobytes() == found[1][name].tobytes()
        np.testing.assert_allclose(found[0][name], weights, rtol=1e-3, atol=1e-5)


def test_only_the_first_process_writes_checkpoints(together):
    first, second = (together.folder / f"checkpoints-{rank}" for rank in (0, 1))
    assert sorted(path.name for path in first.iterdir()) == ["best.pt", "last.pt"]
    assert not second.exists()


@pytest.mark.parametrize(
    ("what", "errors"),
    [
        ("unreadable", ("OtherProcessError: another of the 2 processes", "OSError: the era store cannot be read")),
        ("not finite", ("StageNaN: the gradient norm of still is nan at update 2",) * 2),
        ("not writable", ("StorageError: ", "OtherProcessError: another of the 2 processes")),
        ("begun apart", ("CheckpointsDifferError: process 0 of 2", "CheckpointsDifferError: process 1 of 2")),
    ],
)
def test_what_fails_in_one_ends_both_by_name(what, errors, together):
    for met, error in zip(together.met, errors, strict=True):
        name, _, text = error.partition(": ")
        assert met[what].startswith(f"{name}: ")
        assert text in met[what]


def test_a_process_that_is_gone_ends_the_other_by_name(together):
    assert together.codes == [0, 9]
    told = json.loads((together.folder / "died.json").read_text())
    assert told.startswith("OtherProcessError: ")
    assert "process 0 of 2 that train together cannot reach the others" in told
