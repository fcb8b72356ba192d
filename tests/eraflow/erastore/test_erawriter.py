"""The era store holds exactly what the parquet files hold, and is written whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eraflow.data.footer import BadFeatureValueError
from eraflow.disk.atomic import StorageError
from eraflow.erastore import erawriter
from eraflow.erastore.erareader import EraStore, EraStoreError, UnknownEraError
from eraflow.erastore.erawriter import write_era_store
from tests.eraflow.erastore.conftest import check_equal, digests, frame_of, joined_of, store_of
from tests.tournament_files import write_parquet, write_tournament

MARKET = Path(__file__).resolve().parents[4] / "shared" / "market"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 9),
    features=st.integers(1, 9),
    groups=st.sampled_from(["era", "one", 5, 23]),
    id_as=st.sampled_from(["index", "column", "unnamed"]),
    dtype=st.sampled_from(["int8", "int64", "uint8", "float32", "float64"]),
    in_memory=st.integers(1, 60),
    first=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_round_trip(tmp_path, rows, features, groups, id_as, dtype, in_memory, first, seed):
    shutil.rmtree(tmp_path)
    made = write_tournament(
        tmp_path / "files",
        train_eras=6,
        validation_eras=8,
        rows=rows,
        features=features,
        row_groups=groups,
        id_as=id_as,
        feature_dtype=dtype,
        seed=seed,
    )
    eras = [f"{era:04d}" for era in range(first, 14)]
    written = store_of(made, tmp_path / "store", rows_in_memory=in_memory, eras=eras)
    frame = frame_of(made)
    check_equal(written, frame[frame["era"].isin(eras)], made.features)


def test_same_input_same_bytes_and_nothing_left_over(files, tmp_path):
    first = store_of(files, tmp_path / "a", joined=joined_of(files))
    second = store_of(files, tmp_path / "b", joined=joined_of(files), rows_in_memory=5)
    assert digests(first) == digests(second)
    names = {"layout.json", "matrix.npy", "ids.npy", "missing.npy", *(f"column-{i:03d}.npy" for i in range(5))}
    assert {path.name for path in first.path.iterdir()} == names


def test_missing_report(tmp_path):
    made = write_tournament(tmp_path / "a", rows=12)
    report = store_of(made, tmp_path / "store", rows_in_memory=5).missing
    assert report.eras_of == {made.features[-1]: ("0001",)}
    assert report.cells == {}
    floats = write_tournament(tmp_path / "b", rows=12, feature_dtype="float32")
    report = store_of(floats, tmp_path / "floats", rows_in_memory=5).missing
    counted = frame_of(floats)[list(floats.features)].isna().sum()
    assert report.cells == {name: count for name, count in counted.items() if count}
    assert report.eras_of[floats.features[-1]] == ("0001",)
    assert "NaN" in report.describe()


def test_null_codes_become_the_missing_code(tmp_path):
    made = write_tournament(tmp_path / "files", train_eras=20)
    frame = pl.read_parquet(made.path("train")).with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise(pl.col(made.features[0])).alias(made.features[0])
    )
    frame.write_parquet(made.path("train"))
    store = store_of(made, tmp_path / "store")
    assert store.matrix()[7, 0] == 2
    assert store.missing.cells == {made.features[0]: 1}


def test_live_alone_and_live_without_rows(files, tmp_path):
    live = write_era_store([files.path("live")], files.features, [], tmp_path / "live")
    assert (live.eras, live.n_rows, live.columns, live.data_type("X")) == (("X",), 12, (), "live")
    check_equal(live, files.frames["live"], files.features)
    made = write_tournament(tmp_path / "files", live_rows=0)
    empty = write_era_store([made.path("live")], made.features, [], tmp_path / "empty")
    assert (empty.eras, empty.n_rows, empty.matrix().shape) == ((), 0, (0, 6))
    assert empty.ids().size == empty.era_codes().size == 0
    assert empty.offsets().tolist() == [0]
    assert "no eras" in empty.describe()
    assert empty.missing.eras_of == {}


def test_only_chosen_eras_and_data_types_are_written(files, tmp_path):
    store = store_of(files, tmp_path / "a", data_types={"train", "validation"}, eras=["0004", "0028", "0031", "0050"])
    assert store.eras == ("0004", "0028", "0031")
    assert [store.data_type(era) for era in store.eras] == ["train", "train", "validation"]
    frame = frame_of(files)
    check_equal(store, frame[frame["era"].isin(store.eras)], files.features)
    with pytest.raises(UnknownEraError, match="0099"):
        store_of(files, tmp_path / "b", eras=["0004", "0099"])


def test_a_broken_attempt_does_not_leave_the_older_store_half_replaced(files, tmp_path):
    store_of(files, tmp_path / "store")
    damaged = write_tournament(tmp_path / "damaged", damage="value_7_hidden")
    with pytest.raises(BadFeatureValueError):
        store_of(damaged, tmp_path / "store")
    with pytest.raises(EraStoreError):
        EraStore.open(tmp_path / "store")


def test_ids_of_any_length_and_script(tmp_path):
    made = write_tournament(tmp_path / "files", train_eras=20)
    names = ["n" + "é" * (i % 3) + str(i) for i in range(len(made.frames["train"]))]
    made.frames["train"].index = pd.Index(names, name="id")
    write_parquet(made.frames["train"], made.path("train"))
    np.testing.assert_array_equal(store_of(made, tmp_path / "store").ids()[: len(names)], names)


def test_progress_reaches_the_end(files, tmp_path):
    seen: list[tuple[int, int]] = []
    store_of(files, tmp_path / "store", rows_in_memory=40, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (600, 600)
    assert len(seen) > 5


def test_a_full_disk_is_named_before_writing(files, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(erawriter.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="are free"):
        store_of(files, tmp_path / "store")


def test_a_folder_that_cannot_be_written_is_named(files, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        store_of(files, tmp_path / "file" / "store")


def test_what_a_killed_attempt_left_behind_is_removed(files, tmp_path):
    (tmp_path / "store").mkdir()
    for name in (".matrix.npy.0123abcd.tmp", ".matrix.npy.0123abcd.columns"):
        (tmp_path / "store" / name).write_bytes(b"x")
    store = store_of(files, tmp_path / "store")
    assert not list(store.path.glob(".*"))


def test_layout_is_plain_json(store):
    layout = json.loads((store.path / "layout.json").read_text())
    assert layout["rows"] == store.n_rows == 600
    assert layout["files"] == {"train.parquet": 360, "validation.parquet": 240}


@pytest.mark.skipif(not MARKET.is_dir(), reason="the real equities lie beside the repository in some places only")
def test_real_equities(tmp_path):
    features = json.loads((MARKET / "features.json").read_text())["feature_sets"]["small"]
    store = write_era_store(
        [MARKET / "train.parquet", MARKET / "validation.parquet"],
        features,
        ["target_a_20"],
        tmp_path / "store",
        joined={"v52_lgbm_a20": MARKET / "validation_benchmark_models.parquet"},
        rows_in_memory=20_000,
    )
    frames = [
        pd.read_parquet(MARKET / f"{name}.parquet", columns=["era", *features]) for name in ("train", "validation")
    ]
    check_equal(store, pd.concat(frames), features)
    assert store.coverage("v52_lgbm_a20")[0] == "0546"
