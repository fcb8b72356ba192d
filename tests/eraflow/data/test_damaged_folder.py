"""Each kind of damage of a folder has its name, and is found before any work."""

from __future__ import annotations

import pytest

from eraflow.data.contractcheck import BadTargetValueError
from eraflow.data.eraindex import BadDataTypeError
from eraflow.data.eras import BadEraError
from eraflow.data.footer import FeatureTypeError, MissingColumnError, TruncatedFileError
from eraflow.errors import EraflowError
from tests.eraflow.data.contracts import NAMED, contract_of, rewrite
from tests.tournament_files import DAMAGES, write_tournament


@pytest.mark.parametrize("damage", sorted(set(DAMAGES) - {"value_7_hidden"}))
def test_damage_is_named_before_any_work(tmp_path, damage):
    files = write_tournament(tmp_path, damage=damage)
    error, text = NAMED[damage]
    with pytest.raises(error, match=text) as raised:
        contract_of(files)
    assert type(raised.value) is error  # the most particular name, not a base of it
    assert raised.value.remedy


def test_a_value_that_footers_cannot_show_is_left_to_the_era_store(tmp_path):
    contract_of(write_tournament(tmp_path, damage="value_7_hidden"))


def test_only_live_files_may_hold_the_live_era(tmp_path):
    files = write_tournament(tmp_path)
    rewrite(files, "validation", lambda frame: frame.assign(era=frame["era"].replace("0050", "X")))
    with pytest.raises(BadEraError, match="live era X"):
        contract_of(files)


@pytest.mark.parametrize(("label", "text"), [("week", "'week'"), ("", "has no era"), ("5.5", "'5.5'")])
def test_eras_that_are_no_padded_numbers(tmp_path, label, text):
    files = write_tournament(tmp_path)
    rewrite(files, "validation", lambda frame: frame.assign(era=frame["era"].replace("0050", label)))
    with pytest.raises(BadEraError, match=text):
        contract_of(files)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda frame: frame.assign(feature_agileer_1="3"), FeatureTypeError),
        (lambda frame: frame.assign(target_ender_60=frame["target_ender_60"] - 0.5), BadTargetValueError),
        (lambda frame: frame.assign(data_type="holdout"), BadDataTypeError),
        (lambda frame: frame.drop(columns="era"), MissingColumnError),
        (lambda frame: frame.reset_index(drop=True), MissingColumnError),
    ],
)
def test_wrong_columns_are_named(tmp_path, change, error):
    files = write_tournament(tmp_path)
    rewrite(files, "train", change)
    with pytest.raises(error, match=r"train\.parquet"):
        contract_of(files)


@pytest.mark.parametrize("cut", [0, 4, 100, -1, -9, -2000])
def test_any_cut_of_a_parquet_file_is_noticed(tmp_path, cut):
    files = write_tournament(tmp_path)
    content = files.path("train").read_bytes()
    files.path("train").write_bytes(content[:cut])
    with pytest.raises(TruncatedFileError, match=r"train\.parquet"):
        contract_of(files)


def test_bytes_missing_in_the_middle_are_noticed(tmp_path):
    files = write_tournament(tmp_path, row_groups="one", rows=40)
    content = files.path("train").read_bytes()
    files.path("train").write_bytes(content[:500] + content[2500:])
    with pytest.raises(EraflowError):
        contract_of(files)
