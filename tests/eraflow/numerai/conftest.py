"""A stub of the server with a clock that nobody waits for, and a file that it serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eraflow.numerai.client import Tournament
from eraflow.numerai.graphql import Endpoint
from tests.eraflow.numerai.stubserver import PUBLIC, SECRET, FakeTime, Stub, stub_server

NAME = "v5.3/live.parquet"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stub_server() as running:
        yield running


@pytest.fixture
def served(stub: Stub) -> None:
    """The stub has one file; `pytestmark` asks for it where downloads are tested."""
    stub.files[NAME] = parquet(1)
    stub.etags[NAME] = '"day-1"'


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "data" / "live.parquet"


def parquet(seed: int, rows: int = 4000) -> bytes:
    """Files of different content and the same size."""
    numbers = [(seed * 7919 + row * 104729) % 1_000_003 for row in range(rows)]
    table = pa.table({"feature_a": pa.array(numbers, pa.int32()), "id": pa.array([f"n{n:015x}" for n in numbers])})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", use_dictionary=False, row_group_size=1000, write_statistics=False)
    return sink.getvalue().to_pybytes()


def connect(stub: Stub, time: FakeTime, **options: Any) -> Tournament:
    endpoint = options.pop("endpoint", Endpoint(stub.url, PUBLIC, SECRET))
    settings = {"call_seconds": 5, "transfer_seconds": 60, "attempts": 3, "clock": time.clock, "jitter": lambda: 0.5}
    return Tournament(endpoint, sleep=time.sleep, **{**settings, **options})


def names(place: Path) -> set[str]:
    return {path.name for path in place.parent.iterdir() if not path.name.endswith(".lock")}
