"""The child process: it starts, remembers, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

from eraflow.sandbox.process import SandboxAddress, SandboxStartError, sandbox
from eraflow.sandbox.records import SANDBOX_KEYS

from .conftest import Connect

MARKET = Path(__file__).parents[4] / "shared" / "market"
STATE = "query($m: ID) { submissions(modelId: $m) { id status selected } }"


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/sandbox/status", timeout=2).ok
    except requests.ConnectionError:
        return False


def wait_until_silent(url: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while answers(url):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_it_ends_with_the_block_and_a_later_one_remembers(small_folder: Path, tmp_path: Path, connect: Connect) -> None:
    ids = pd.read_parquet(small_folder / "live.parquet", columns=[]).index
    frame = pd.DataFrame({"id": ids, "prediction": np.linspace(0.1, 0.9, len(ids))})
    with sandbox(small_folder, tmp_path) as first:
        api = connect(first)
        model = api.get_models()["eraflow"]
        identifier = api.upload_predictions(df=frame, model_id=model)
        assert answers(first.url)
    assert not answers(first.url)
    with sandbox(small_folder, tmp_path) as second:
        found = connect(second).raw_query(STATE, {"m": model}, authorization=True)["data"]["submissions"]
    assert [row["id"] for row in found] == [identifier]
    assert (tmp_path / "sandbox.log").read_text()


def test_the_secret_is_in_no_text(small_folder: Path) -> None:
    assert SANDBOX_KEYS[1] not in str(SandboxAddress("http://127.0.0.1:1", *SANDBOX_KEYS))


PARENT = """
import sys, time
from eraflow.sandbox.process import sandbox
with sandbox(sys.argv[1], sys.argv[2]) as address:
    print(address.url, flush=True)
    time.sleep(60)
"""


def test_it_dies_with_a_parent_that_is_killed(small_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(small_folder), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert answers(url)
        parent.kill()
    assert wait_until_silent(url, 3)


def test_a_folder_without_data_and_a_state_in_use_are_named(small_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SandboxStartError, match=r"has no live\.parquet"), sandbox(tmp_path, tmp_path / "state"):
        pass
    with sandbox(small_folder, tmp_path / "state"):  # noqa: SIM117 - the second is to fail while the first runs
        with pytest.raises(SandboxStartError, match="another sandbox uses"), sandbox(small_folder, tmp_path / "state"):
            pass


def test_in_the_foreground_it_tells_its_keys_and_ctrl_c_ends_it_cleanly(small_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "eraflow.sandbox", "--folder", str(small_folder)]
    command += ["--state-dir", str(tmp_path), "--round", "closed"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[4]
        text = "".join(server.stdout.readline() for _ in range(4))
        assert f"NUMERAI_PUBLIC_ID={SANDBOX_KEYS[0]} NUMERAI_SECRET_KEY={SANDBOX_KEYS[1]}" in text
        assert requests.get(f"{url}/sandbox/status", timeout=5).json()["round"] is None
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=10)
    assert server.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.skipif(not MARKET.is_dir(), reason="the folder ../shared/market is not here")
def test_any_folder_in_tournament_layout_can_be_served(tmp_path: Path, connect: Connect) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in MARKET.iterdir()}
    with sandbox(MARKET, tmp_path / "state", version="v9.1") as address:
        api = connect(address)
        names = api.list_datasets()
        assert "v9.1/live.parquet" in names
        assert "v9.1/README.md" not in names
        ids = pd.read_parquet(api.download_dataset("v9.1/live.parquet", str(tmp_path / "live.parquet"))).index
        frame = pd.DataFrame({"id": ids, "prediction": np.linspace(0.1, 0.9, len(ids))})
        model = api.get_models()["eraflow"]
        api.upload_predictions(df=frame, model_id=model)
        time.sleep(0.25)
        found = api.raw_query(STATE, {"m": model}, authorization=True)["data"]["submissions"]
    assert [row["status"] for row in found] == ["success"]
    assert {path.name: path.stat().st_mtime_ns for path in MARKET.iterdir()} == before


def test_no_key_of_the_parent_reaches_the_child(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMERAI_SECRET_KEY", "precious")
    with sandbox(small_folder, tmp_path):
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        if not children.is_file():
            pytest.skip("no /proc here")
        texts = [Path(f"/proc/{pid}/environ").read_bytes() for pid in children.read_text().split()]
    assert texts
    assert not any(b"precious" in text for text in texts)
