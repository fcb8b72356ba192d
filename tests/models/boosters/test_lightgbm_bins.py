"""LightGBM's file is written here to the last byte as the library writes it, and otherwise the library does it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.boosters.lightgbm_bins as room
from models.base.rows import Columns, TrainingRows
from models.boosters.lightgbm_bins import LightGBMBins
from models.boosters.lightgbm_pack import FileLayout, pack
from models.kinds import make_model
from tests.models.planted import PLAN, fast, plant

PARAMS = {"num_threads": 1, "verbosity": -1, "feature_pre_filter": False, "seed": 1}


def rows_of(n, f, seed=0, rows_in_memory=1000, constant=False):
    x = np.random.default_rng(seed).integers(0, 5, (n, f), dtype=np.int8)
    if constant:
        x[:, ::2] = 4
    return TrainingRows(x, np.zeros(n), rows_in_memory)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))
def test_two_codes_lie_in_a_byte_column_by_column(rows, features, seed):
    x = np.random.default_rng(seed).integers(0, 5, (rows, features), dtype=np.int8)
    packed = pack(x)
    assert packed.shape == (features, -(-rows // 2))
    np.testing.assert_array_equal(packed.T & 15, x[::2])
    np.testing.assert_array_equal(packed.T[: rows // 2] >> 4, x[1::2])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 2500), st.integers(1, 30), st.integers(1, 700), st.booleans())
def test_the_file_is_the_librarys_to_the_last_byte(tmp_path_factory, n, f, rows_in_memory, constant):
    folder = tmp_path_factory.mktemp("bins")
    rows = rows_of(n, f, n, rows_in_memory, constant)
    bins = LightGBMBins(rows, PARAMS, folder)
    bins.make(folder / "mine")
    bins.from_tiles().save_binary(str(folder / "theirs"))
    assert (folder / "mine").read_bytes() == (folder / "theirs").read_bytes()
    assert 0.8 * (folder / "mine").stat().st_size < bins.expected_bytes + 2_000


@pytest.mark.parametrize("params", [{"max_bin": 3}, {"linear_tree": True}])
def test_what_the_library_writes_otherwise_is_left_to_it(params, tmp_path):
    assert FileLayout.learn(6, {**PARAMS, **params}, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    planted = plant(eras=12, rows=100)
    model = make_model("lightgbm", {**fast("lightgbm"), **params})
    model.fit(planted.x, planted.y, plan=PLAN, seed=1)
    assert np.corrcoef(model.predict(planted.x), planted.y)[0, 1] > 0.3


def test_both_ways_give_the_same_model(monkeypatch, tmp_path):
    planted = plant(eras=12, rows=100)
    y = np.where(np.arange(1200) % 7, planted.y, np.nan)
    saved = []
    for layout in (FileLayout.learn, lambda *_: None):
        monkeypatch.setattr(room.FileLayout, "learn", layout)
        for plan in (PLAN, replace(PLAN, rows_in_memory=77, threads=2)):
            model = make_model("lightgbm", fast("lightgbm"), columns=[0, 3, 4, 9], scratch=tmp_path)
            model.fit(planted.x, y, plan=plan, seed=1)
            model.save(tmp_path / "model")
            saved.append((tmp_path / "model" / "model.txt").read_bytes())
    assert len(set(saved)) == 1
    assert len(re.findall(rb"Tree=", saved[0])) == 30
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_leaves_it_to_the_library(monkeypatch, tmp_path, caplog):
    rows = rows_of(300, 5)
    bins = LightGBMBins(rows, PARAMS, tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room.FileLayout, "write", full)
    assert bins.make(None).num_data() == 300
    assert "itself" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_only_the_chosen_columns_are_written(tmp_path):
    x = np.random.default_rng(3).integers(0, 5, (500, 9), dtype=np.int8)
    chosen = TrainingRows(x, np.zeros(500), 100, Columns([1, 4, 8]))
    narrow = TrainingRows(np.ascontiguousarray(x[:, [1, 4, 8]]), np.zeros(500), 100)
    for name, rows in (("chosen", chosen), ("narrow", narrow)):
        LightGBMBins(rows, PARAMS, tmp_path).make(tmp_path / name)
    assert (tmp_path / "chosen").read_bytes() == (tmp_path / "narrow").read_bytes()
