"""Damage of the parquet files is named while the era store is written, and leaves no store."""

from __future__ import annotations

import pytest

from eraflow.data.eraindex import DuplicateIdError, NullEraError, NullIdError
from eraflow.data.eras import UnorderedErasError
from eraflow.data.footer import BadFeatureValueError, FeatureTypeError, MissingColumnError, TruncatedFileError
from eraflow.data.readable import MissingFileError
from eraflow.erastore.erareader import EraStore, EraStoreError
from tests.eraflow.erastore.conftest import store_of
from tests.tournament_files import write_parquet, write_tournament

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
