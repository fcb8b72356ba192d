"""Rows and columns are read in pieces, in bounded memory, and the pieces change no byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.erastore import erawriter, tiles
from tests.eraflow.erastore.conftest import check_equal, digests, frame_of, store_of
from tests.tournament_files import write_tournament


@pytest.mark.parametrize("groups", ["one", 100, 30, "era"])
def test_row_tiles_and_column_blocks_write_the_same_bytes(tmp_path, monkeypatch, groups):
    made = write_tournament(tmp_path / "files", rows=20, features=11, row_groups=groups)
    whole = store_of(made, tmp_path / "whole")
    decoded = []
    real = erawriter.read_piece

    def watched(index, frame, features, piece, rows):
        for block in real(index, frame, features, piece, rows):
            decoded.append(block.codes.shape)
            yield block

    monkeypatch.setattr(erawriter, "read_piece", watched)
    monkeypatch.setattr(erawriter, "ASSEMBLY_BYTES", 11 * 7)
    pieces = store_of(made, tmp_path / "pieces", rows_in_memory=12)
    assert max(rows * columns for rows, columns in decoded) <= max(12 * 11, max(rows for rows, _ in decoded))
    assert any(columns < 11 for _, columns in decoded) == (groups in ("one", 100))
    assert digests(whole) == digests(pieces)
    check_equal(pieces, frame_of(made), made.features)


WRITE_AND_MEASURE = """
import json, sys
from pathlib import Path
from eraflow.erastore.erawriter import write_era_store
def mib(key): return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) / 1024
base = mib("VmHWM")
store = write_era_store([sys.argv[1]], json.loads(sys.argv[2]), [], sys.argv[3])
print(json.dumps([base, store.matrix().nbytes / 2**20, mib("VmHWM")]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("group", [5_000, 200_000])
def test_peak_memory_stays_near_matrix_and_base(tmp_path, group):
    rng = np.random.default_rng(0)
    names = [f"feature_{number}" for number in range(600)]
    frame = pl.DataFrame(
        {
            "id": [f"n{number:015x}" for number in range(200_000)],
            "era": np.repeat([f"{era:04d}" for era in range(1, 41)], 5_000),
            **dict.fromkeys(names, rng.integers(0, 5, 200_000, dtype=np.int8)),
        }
    )
    frame.write_parquet(tmp_path / "train.parquet", row_group_size=group)
    command = [sys.executable, "-c", WRITE_AND_MEASURE, tmp_path / "train.parquet", json.dumps(names), tmp_path / "s"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    base, matrix, peak = json.loads(done.stdout)
    assert matrix > 110
    assert peak <= 1.2 * (base + matrix), (base, matrix, peak)


def test_tiles_obey_the_footer():
    class FakeFooter:
        group_rows = (5, 5, 40, 5)

    pieces = tiles.plan_pieces(FakeFooter(), [(0, 8), (10, 55)], 9)  # type: ignore[arg-type]
    assert pieces == [
        tiles.RowRange(0, 8, False),
        tiles.RowRange(10, 50, True),
        tiles.RowRange(50, 55, False),
    ]
    pieces = tiles.plan_pieces(FakeFooter(), [(0, 55)], 12)  # type: ignore[arg-type]
    assert [(piece.start, piece.stop) for piece in pieces] == [
        (0, 10),
        (10, 20),
        (20, 30),
        (30, 40),
        (40, 50),
        (50, 55),
    ]
