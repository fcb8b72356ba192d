"""Files that are damaged are found, whatever they are damaged by, and whole ones pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eraflow.data import footerparts
from eraflow.numerai.errors import DownloadCorruptError
from eraflow.numerai.filecheck import verifier, verify_json, verify_parquet, verify_some
from tests.eraflow.numerai.conftest import parquet


@pytest.fixture(params=["whole", "in parts"])
def path(request, tmp_path, monkeypatch):
    """Ten row groups, whose footer is read as a whole or a few groups at a time."""
    if request.param == "in parts":
        monkeypatch.setattr(footerparts, "LARGE_FOOTER", 0)
        monkeypatch.setattr(footerparts, "MOST_CHUNKS", 12)
    rng = np.random.default_rng(1)
    columns = {f"feature_{number}": rng.integers(0, 5, 200, dtype=np.int8) for number in range(3)}
    pl.DataFrame({"id": [f"n{row:05d}" for row in range(200)], **columns}).write_parquet(
        tmp_path / "data.parquet", row_group_size=20
    )
    return tmp_path / "data.parquet"


def test_a_whole_file_passes(path):
    verify_parquet(path)


@pytest.mark.parametrize("group", [0, 4, 9])
def test_foreign_bytes_in_any_row_group_are_found_and_named(path, group):
    chunk = pq.read_metadata(path).row_group(group).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(DownloadCorruptError, match=r"data\.parquet"):
        verify_parquet(path)


def test_a_file_that_lost_bytes_in_the_middle_is_found(path):
    content = path.read_bytes()
    path.write_bytes(content[:300] + content[400:])
    with pytest.raises(DownloadCorruptError, match=r"data\.parquet"):
        verify_parquet(path)


def splice() -> bytes:
    """What resuming yesterday's transfer gives: the head of one day's file, the rest of another's."""
    one, two = (
        pa.table(
            {
                "feature_a": [(seed + row * row) % 97 for row in range(4000)],
                "id": [f"n{seed * row}" for row in range(4000)],
            }
        )
        for seed in (3, 999)
    )
    contents = []
    for table in (one, two):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=1000)
        contents.append(sink.getvalue().to_pybytes())
    half = min(map(len, contents)) // 2
    return contents[0][:half] + contents[1][half:]


def test_damaged_parquet_is_found(tmp_path: Path) -> None:
    path, good = tmp_path / "f.parquet", parquet(1)
    path.write_bytes(good)
    verify_parquet(path)
    half = len(good) // 2
    for damaged in (
        b"",
        b"PAR1",
        good[:-1],
        good[:half],
        good[half:],
        good + b"more",
        b"XXXX" + good[4:],
        good[:4] + b"\0" * 4000 + good[4004:],
        splice(),
        good[:-8] + (10**9).to_bytes(4, "little") + b"PAR1",
    ):
        path.write_bytes(damaged)
        with pytest.raises(DownloadCorruptError, match=r"f\.parquet"):
            verify_parquet(path)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    for content in (b"", b"{", b"{}", b"[]", b"3", b"\xff\xfe{}", b'{"a": 1'):
        path.write_bytes(content)
        with pytest.raises(DownloadCorruptError, match=r"features.json"):
            verify_json(path)
    path.write_bytes(b'{"feature_sets": {}}')
    verify_json(path)
    assert (verifier("v5.3/a.parquet"), verifier("b.JSON"), verifier("c.csv")) == (
        verify_parquet,
        verify_json,
        verify_some,
    )
    path.write_bytes(b"")
    with pytest.raises(DownloadCorruptError):
        verify_some(path)
