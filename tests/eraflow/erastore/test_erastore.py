"""The era store holds exactly what the parquet files hold, in bounded memory, and refuses what is damaged."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eraflow.data.eraindex import DuplicateIdError, NullEraError, NullIdError
from eraflow.data.eras import UnorderedErasError
from eraflow.data.footer import BadFeatureValueError, FeatureTypeError, MissingColumnError, TruncatedFileError
from eraflow.data.readable import MissingFileError
from eraflow.disk.atomic import StorageError
from eraflow.erastore import erawriter, tiles
from eraflow.erastore.erareader import EraStore, EraStoreError, UnknownColumnError, UnknownEraError
from eraflow.erastore.erawriter import write_era_store
from tests.tournament_files import TARGETS, TournamentFiles, write_parquet, write_tournament

MARKET = Path(__file__).resolve().parents[4] / "shared" / "market"
COMPANIONS = ("v53_lgbm_ender60", "numerai_meta_model")


def store_of(files: TournamentFiles, out: Path, **options) -> EraStore:
    arguments = {"features": files.features, "columns": TARGETS, **options}
    return write_era_store([files.path("train"), files.path("validation")], out=out, **arguments)


def joined_of(files: TournamentFiles):
    both = [files.path("train_benchmark_models"), files.path("validation_benchmark_models")]
    return {"v53_lgbm_ender60": both, "numerai_meta_model": files.path("meta_model")}


def frame_of(files: TournamentFiles) -> pd.DataFrame:
    return pd.concat([files.frames["train"], files.frames["validation"]])


def check_equal(store: EraStore, frame: pd.DataFrame, features) -> None:
    codes = frame[list(features)].astype("float64").fillna(2).to_numpy()
    np.testing.assert_array_equal(store.matrix(), codes)
    np.testing.assert_array_equal(store.ids(), frame.index.to_numpy(dtype=str))
    assert store.eras == tuple(frame["era"].unique())
    np.testing.assert_array_equal(np.array(store.eras)[store.era_codes()], frame["era"].to_numpy(dtype=str))
    for name in store.columns:
        if name in frame:
            np.testing.assert_array_equal(store.column(name), frame[name].to_numpy(dtype="float64"))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> TournamentFiles:
    return write_tournament(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def store(files, tmp_path_factory) -> EraStore:
    return store_of(files, tmp_path_factory.mktemp("store"), joined=joined_of(files))


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


def digests(store: EraStore) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(store.path.iterdir())}


def test_same_input_same_bytes_and_nothing_left_over(files, tmp_path):
    first = store_of(files, tmp_path / "a", joined=joined_of(files))
    second = store_of(files, tmp_path / "b", joined=joined_of(files), rows_in_memory=5)
    assert digests(first) == digests(second)
    names = {"layout.json", "matrix.npy", "ids.npy", "missing.npy", *(f"column-{i:03d}.npy" for i in range(5))}
    assert {path.name for path in first.path.iterdir()} == names


def test_neighbouring_eras_are_views_and_others_are_gathered(files, store):
    frame = frame_of(files)
    view = store.matrix(["0003", "0004", "0005"])
    assert view.base is not None
    assert not view.flags.writeable
    assert np.shares_memory(view, store.matrix())
    assert np.shares_memory(store.matrix(["0003"], store.features[1:4]), store.matrix())
    assert store.rows(["0003", "0004"]) == slice(24, 48)
    scattered, wanted = ["0002", "0004", "0005", "0040"], [store.features[4], store.features[1]]
    part = frame[frame["era"].isin(scattered)]
    assert isinstance(store.rows(scattered), np.ndarray)
    np.testing.assert_array_equal(store.matrix(scattered, wanted), part[wanted].to_numpy())
    np.testing.assert_array_equal(store.matrix(scattered), part[list(store.features)].to_numpy())
    np.testing.assert_array_equal(store.matrix()[store.rows(scattered)], store.matrix(scattered))
    np.testing.assert_array_equal(store.ids(scattered), part.index.to_numpy(dtype=str))
    np.testing.assert_array_equal(store.column(TARGETS[0], scattered), part[TARGETS[0]].to_numpy("float64"))
    np.testing.assert_array_equal(store.offsets(scattered), [0, 12, 24, 36, 48])
    np.testing.assert_array_equal(store.era_codes(scattered), np.repeat([1, 3, 4, 39], 12))
    assert store.matrix([]).shape == (0, 6)
    assert store.offsets([]).tolist() == [0]
    assert (store.matrix().dtype, store.column(TARGETS[0]).dtype, store.era_codes().dtype) == (
        np.int8,
        np.float64,
        np.int32,
    )


def test_other_files_are_joined_by_id_and_unknown_elsewhere(files, tmp_path):
    shuffled = files.frames["meta_model"].sample(frac=1, random_state=0)
    made = write_tournament(tmp_path / "files")
    write_parquet(shuffled, made.path("meta_model"), row_groups="one", id_as="column")
    store = store_of(made, tmp_path / "store", joined=joined_of(made))
    expected = files.frames["meta_model"]["numerai_meta_model"].reindex(frame_of(files).index)
    np.testing.assert_array_equal(store.column("numerai_meta_model"), expected.to_numpy("float64"))
    assert store.columns == (*TARGETS, *COMPANIONS)
    assert store.coverage("numerai_meta_model") == tuple(f"{era:04d}" for era in range(40, 51))
    assert store.coverage("v53_lgbm_ender60") == tuple(f"{era:04d}" for era in range(5, 51))
    assert store.coverage("target_ender_60")[-1] == "0037"


def test_troubles_of_joined_files_are_named(files, tmp_path):
    with pytest.raises(MissingColumnError, match="v99"):
        store_of(files, tmp_path / "a", joined={"v99": files.path("meta_model")})
    twice = [files.path("meta_model"), files.path("meta_model")]
    with pytest.raises(DuplicateIdError, match="meta_model"):
        store_of(files, tmp_path / "a", joined={"numerai_meta_model": twice})
    with pytest.raises(EraStoreError):
        EraStore.open(tmp_path / "a")


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


DAMAGE = {
    "truncated": (TruncatedFileError, "validation.parquet"),
    "renamed_feature": (MissingColumnError, "agileer_1"),
    "value_7": (BadFeatureValueError, r"validation.parquet: feature_agileer_1 is 7 in row 120, era 0041"),
    "value_7_hidden": (BadFeatureValueError, r"validation.parquet: feature_agileer_1 is 7 in row 120, era 0041"),
    "negative_value": (BadFeatureValueError, "is -1 in row 120"),
    "duplicate_id": (DuplicateIdError, "validation.parquet"),
    "duplicate_id_across": (DuplicateIdError, "train.parquet and validation.parquet"),
    "unordered_eras": (UnorderedErasError, "0049 comes after era 0050"),
    "scattered_era": (UnorderedErasError, "scattered"),
    "overlapping_eras": (UnorderedErasError, "0030"),
    "null_era": (NullEraError, "row 120"),
    "null_id": (NullIdError, "row 120"),
    "absent_target": (MissingColumnError, "target_ender_60"),
}


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_damage_is_named_and_leaves_no_store(tmp_path, damage):
    made = write_tournament(tmp_path / "files", damage=damage)
    error, text = DAMAGE[damage]
    with pytest.raises(error, match=text):
        store_of(made, tmp_path / "store")
    with pytest.raises(EraStoreError, match="no finished era store"):
        EraStore.open(tmp_path / "store")
    left = list((tmp_path / "store").iterdir()) if (tmp_path / "store").exists() else []
    assert not [path for path in left if "tmp" in path.name or path.name == "matrix.npy"]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *(("float32", value) for value in (1.5, 7.0, -2.0, 300.0, float("inf"), float("-inf"))),
        *(("int64", value) for value in (7, -2, 300)),
        *(("int16", value) for value in (5, -1, 258)),
        *(("uint8", value) for value in (5, 255)),
    ],
)
def test_values_of_other_types_that_are_no_codes(tmp_path, dtype, value):
    made = write_tournament(tmp_path / "files", train_eras=20, feature_dtype=dtype)
    made.frames["train"].iloc[30, 2] = value
    write_parquet(made.frames["train"], made.path("train"))
    with pytest.raises(BadFeatureValueError, match=f"feature_agile_0 is {value:g}.* in row 30, era 0003"):
        store_of(made, tmp_path / "store")


def test_bad_value_is_named_by_column_blocks_too(tmp_path):
    made = write_tournament(tmp_path / "files", row_groups="one", damage="value_7_hidden")
    with pytest.raises(BadFeatureValueError, match="feature_agileer_1 is 7 in row 120, era 0041"):
        store_of(made, tmp_path / "store", rows_in_memory=10)


def test_text_features_and_absent_files_are_named(tmp_path):
    made = write_tournament(tmp_path / "files", train_eras=20)
    write_parquet(made.frames["train"].assign(feature_agile_0="2"), made.path("train"))
    with pytest.raises(FeatureTypeError, match="feature_agile_0"):
        store_of(made, tmp_path / "store")
    made.path("train").unlink()
    with pytest.raises(MissingFileError):
        store_of(made, tmp_path / "store")


def test_damaged_pages_are_named(tmp_path):
    made = write_tournament(tmp_path / "files", train_eras=20, rows=60, row_groups="one")
    content = bytearray(made.path("train").read_bytes())
    content[4 : len(content) // 2] = b"\xff" * (len(content) // 2 - 4)
    made.path("train").write_bytes(content)
    with pytest.raises(TruncatedFileError, match=r"train\.parquet cannot be decoded"):
        store_of(made, tmp_path / "store")


def test_unknown_names_are_told(store):
    with pytest.raises(UnknownEraError, match="0099"):
        store.matrix(["0001", "0099"])
    with pytest.raises(UnknownEraError, match="order"):
        store.rows(["0002", "0001"])
    with pytest.raises(UnknownEraError, match="order"):
        store.ids(["0002", "0002"])
    with pytest.raises(UnknownColumnError, match="target_jasper_60"):
        store.column("target")
    with pytest.raises(UnknownColumnError, match="feature_z"):
        store.matrix(features=["feature_z"])


def test_a_store_cut_short_is_noticed(files, tmp_path):
    store = store_of(files, tmp_path / "store")
    matrix = store.path / "matrix.npy"
    matrix.write_bytes(matrix.read_bytes()[:-10])
    with pytest.raises(EraStoreError, match=r"matrix\.npy"):
        EraStore.open(store.path)
    (store.path / "layout.json").write_text('{"format": 0}')
    with pytest.raises(EraStoreError, match="another format"):
        EraStore.open(store.path)


def test_a_store_is_replaced_whole_while_others_read_it(files, tmp_path):
    first = store_of(files, tmp_path / "store")
    before = np.array(first.matrix())
    other = write_tournament(tmp_path / "other", seed=5)
    second = store_of(other, tmp_path / "store")
    np.testing.assert_array_equal(first.matrix(), before)  # the old map lives on
    check_equal(second, frame_of(other), other.features)


def test_a_broken_attempt_does_not_leave_the_older_store_half_replaced(files, tmp_path):
    store_of(files, tmp_path / "store")
    damaged = write_tournament(tmp_path / "damaged", damage="value_7_hidden")
    with pytest.raises(BadFeatureValueError):
        store_of(damaged, tmp_path / "store")
    with pytest.raises(EraStoreError):
        EraStore.open(tmp_path / "store")


def test_pickles_as_its_path_and_opens_in_another_process(store):
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again.matrix(), store.matrix())
    code = (
        "import sys; from eraflow.erastore.erareader import EraStore; print(EraStore.open(sys.argv[1]).matrix().sum())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) == int(store.matrix().sum(dtype=np.int64))


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
