"""The data contract: whole folders in every accepted shape pass, and each kind of damage has its name."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from eraflow.data import footerparts
from eraflow.data.catalog import CatalogError, UnknownFeatureSetError, read_catalog
from eraflow.data.contract import Contract
from eraflow.data.contractcheck import BadTargetValueError, MissingFeatureError, MissingTargetError, check_contract
from eraflow.data.coverage import JoinedFileMismatchError, MissingBenchmarkError, choose_benchmark
from eraflow.data.datafiles import DataFiles
from eraflow.data.eraindex import BadDataTypeError, DuplicateIdError, NullEraError, NullIdError
from eraflow.data.eras import (
    AliasTargetError,
    BadEraError,
    TooFewErasError,
    UnknownHorizonError,
    UnorderedErasError,
)
from eraflow.data.footer import (
    BadFeatureValueError,
    FeatureTypeError,
    MissingColumnError,
    TruncatedFileError,
    read_footer,
)
from eraflow.data.readable import MissingFileError
from eraflow.erastore.erawriter import write_era_store
from eraflow.errors import EraflowError
from eraflow.machine.job import as_json, decided, from_json
from eraflow.settings.data import DataSettings
from tests.tournament_files import DAMAGES, TournamentFiles, write_parquet, write_tournament

MARKET = Path(__file__).resolve().parents[4] / "shared" / "market"


def contract_of(files: TournamentFiles, **settings) -> Contract:
    return checked(files, files.settings(**settings))


def checked(files: TournamentFiles, data: DataSettings, **more) -> Contract:
    found = DataFiles.in_folder(files.folder)
    return check_contract(found, data, read_catalog(found.features_json), **more)


def rewrite(files: TournamentFiles, name: str, change) -> None:
    write_parquet(change(files.frames[name].copy()), files.path(name))


def test_a_whole_folder(tmp_path):
    files = write_tournament(tmp_path)
    contract = contract_of(files, features="small")
    assert contract.features == files.features[:2]
    assert (contract.horizon_days, contract.purge_weeks) == (60, 16)
    assert contract.train_eras == tuple(f"{era:04d}" for era in range(1, 31))
    assert contract.validation_eras == tuple(f"{era:04d}" for era in range(31, 38))
    assert contract.unresolved_eras == tuple(f"{era:04d}" for era in range(38, 51))
    assert (contract.live_rows, contract.live_era) == (12, "X")
    assert contract.benchmark == "v53_lgbm_ender60"
    assert contract.benchmarks == ("v53_lgbm_ender20", "v53_lgbm_ender60")
    assert contract.benchmark_eras == tuple(f"{era:04d}" for era in range(5, 51))
    assert contract.meta_model_eras[0] == "0040"
    assert contract.rows == {"train.parquet": 360, "validation.parquet": 240, "live.parquet": 12}
    assert contract.notes == ()
    assert "37 resolved eras 0001 to 0037" in contract.describe()
    assert from_json(Contract, json.loads(json.dumps(as_json(contract)))) == contract


def test_how_files_are_cut_is_told_and_decides_nothing(tmp_path):
    pieces = [
        contract_of(write_tournament(tmp_path / str(groups), train_eras=16, validation_eras=16, row_groups=groups))
        for groups in ("era", "one")
    ]
    columns = 13  # id, era, data_type, six features, the alias and three targets
    learnt = [{name: count for name, count in contract.chunks.items() if "live" not in name} for contract in pieces]
    assert learnt[0] == {"train.parquet": 16 * columns, "validation.parquet": 16 * columns}
    assert learnt[1] == {"train.parquet": columns, "validation.parquet": columns}
    assert decided(pieces[0]) == decided(pieces[1])
    assert from_json(Contract, json.loads(json.dumps(as_json(pieces[0])))).chunks == pieces[0].chunks


def test_a_new_live_file_changes_nothing_that_is_learnt(tmp_path):
    written = write_tournament(tmp_path, train_eras=16, validation_eras=16)
    before, live = contract_of(written), tmp_path / "live.parquet"
    pl.read_parquet(live).head(7).write_parquet(live)
    after = contract_of(written)
    assert (before.live_rows, after.live_rows) == (12, 7)
    assert decided(after) == decided(before)


@pytest.mark.parametrize("id_as", ["index", "column", "unnamed"])
@pytest.mark.parametrize(("dtype", "groups"), [("int8", "one"), ("int64", 7), ("float32", "era")])
def test_every_accepted_shape_gives_the_same_contract(tmp_path, id_as, dtype, groups):
    plain = contract_of(write_tournament(tmp_path / "plain", train_eras=16, validation_eras=16))
    shaped = write_tournament(
        tmp_path / "shaped", train_eras=16, validation_eras=16, id_as=id_as, feature_dtype=dtype, row_groups=groups
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert contract_of(shaped) == plain


NAMED = {
    "truncated": (TruncatedFileError, "validation.parquet"),
    "renamed_feature": (MissingFeatureError, "agileer_1x, which features.json does not know"),
    "missing_feature": (MissingFeatureError, "live.parquet has no feature_agileer_1"),
    "value_7": (BadFeatureValueError, "feature_agileer_1 is 7"),
    "negative_value": (BadFeatureValueError, "feature_agileer_1 is -1"),
    "duplicate_id": (DuplicateIdError, "2 times in validation.parquet"),
    "duplicate_id_across": (DuplicateIdError, "train.parquet and validation.parquet"),
    "unordered_eras": (UnorderedErasError, "era 0049 comes after era 0050"),
    "scattered_era": (UnorderedErasError, "era 0031 of .* is scattered"),
    "overlapping_eras": (UnorderedErasError, "era 0030"),
    "null_era": (NullEraError, "row 120 of .*validation.parquet has no era"),
    "null_id": (NullIdError, "row 120"),
    "absent_target": (MissingTargetError, "target_ender_20, .*target_jasper_60"),
    "broken_features_json": (CatalogError, "is not JSON"),
}


@pytest.fixture
def in_parts(monkeypatch):
    """Every footer counts as a large one, of which a few row groups are held at a time."""
    monkeypatch.setattr(footerparts, "LARGE_FOOTER", 0)
    monkeypatch.setattr(footerparts, "MOST_CHUNKS", 40)


@pytest.mark.parametrize("id_as", ["index", "column", "unnamed"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_large_footers_read_in_parts_give_the_same_contract_and_store(tmp_path, request, id_as, dtype):
    files = write_tournament(
        tmp_path, train_eras=16, validation_eras=16, id_as=id_as, feature_dtype=dtype, row_groups="era"
    )
    text = pd.read_parquet(files.path("validation"))
    text["era"] = text["era"].astype("category")  # pandas' categories are dictionaries in Arrow
    write_parquet(text, files.path("validation"), row_groups="era")
    sources = [files.path("train"), files.path("validation")]
    whole = contract_of(files)
    columns = [whole.target]
    write_era_store(sources, whole.features, columns, tmp_path / "whole", eras=whole.resolved_eras)
    request.getfixturevalue("in_parts")
    parts = contract_of(files)
    assert (parts, as_json(parts)) == (whole, as_json(whole))
    assert read_footer(sources[0]).metadata is None  # it was read in parts indeed
    write_era_store(sources, whole.features, columns, tmp_path / "parts", eras=whole.resolved_eras)
    for file in sorted((tmp_path / "whole").iterdir()):
        if file.suffix == ".npy":
            assert file.read_bytes() == (tmp_path / "parts" / file.name).read_bytes(), file.name


@pytest.mark.parametrize("damage", sorted(set(DAMAGES) - {"value_7_hidden"}))
def test_damage_is_named_where_footers_are_read_in_parts(tmp_path, in_parts, damage):
    with pytest.raises(NAMED[damage][0], match=NAMED[damage][1]):
        contract_of(write_tournament(tmp_path, damage=damage, row_groups="era"))


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


def test_the_alias_needs_its_horizon(tmp_path):
    files = write_tournament(tmp_path)
    with pytest.raises(AliasTargetError):
        contract_of(files, target="target")
    contract = contract_of(files, target="target", alias_horizon=60)
    assert (contract.target, contract.horizon_days, contract.benchmark) == ("target", 60, "v53_lgbm_ender20")


def test_first_era_leaves_older_eras_out(tmp_path):
    files = write_tournament(tmp_path)
    contract = contract_of(files, first_era=20)
    assert contract.resolved_eras[0] == "0020"
    assert "0019" not in contract.unresolved_eras
    with pytest.raises(TooFewErasError, match="target_ender_60"):
        contract_of(files, first_era=45)


def test_live_may_be_empty_or_a_numbered_era_but_not_two(tmp_path):
    empty = contract_of(write_tournament(tmp_path / "empty", live_rows=0))
    assert (empty.live_rows, empty.live_era) == (0, None)
    assert "the live file has no rows" in empty.notes
    files = write_tournament(tmp_path / "two", live_era="0051")
    assert contract_of(files).live_era == "0051"
    rewrite(files, "live", lambda live: live.assign(era=["0051"] * 6 + ["0052"] * 6))
    with pytest.raises(BadEraError, match="2 eras"):
        contract_of(files)


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


def test_optional_files_may_be_absent_and_mandatory_ones_may_not(tmp_path):
    files = write_tournament(tmp_path)
    for name in ("train_benchmark_models", "validation_benchmark_models", "live_benchmark_models", "meta_model"):
        files.path(name).unlink()
    contract = contract_of(files)
    assert (contract.benchmark, contract.benchmark_eras, contract.meta_model_eras) == (None, (), ())
    assert len(contract.notes) == 2
    files.path("live").unlink()
    with pytest.raises(MissingFileError, match=r"live\.parquet"):
        contract_of(files)


def test_joined_files_of_another_version_are_noticed(tmp_path):
    files = write_tournament(tmp_path)
    other = write_tournament(tmp_path / "other", seed=1)
    write_parquet(other.frames["meta_model"], files.path("meta_model"))
    with pytest.raises(JoinedFileMismatchError, match="meta_model"):
        contract_of(files)
    rewrite(files, "meta_model", lambda frame: pd.concat([frame, frame.iloc[:1]]))
    with pytest.raises(DuplicateIdError, match="meta_model"):
        contract_of(files)
    rewrite(files, "meta_model", lambda frame: frame.rename(columns={"numerai_meta_model": "stake_weighted"}))
    with pytest.raises(MissingColumnError, match="numerai_meta_model"):
        contract_of(files)


def test_choice_of_the_benchmark():
    market = ("v52_lgbm_a20", "v52_lgbm_a60", "v52_lgbm_ct_blend")
    assert choose_benchmark(market, "target_a_60") == "v52_lgbm_a60"
    assert choose_benchmark(market, "target_b_20") == "v52_lgbm_a20"
    assert choose_benchmark(("x_defender60", "v53_lgbm_ender60"), "target_ender_60") == "v53_lgbm_ender60"
    assert choose_benchmark(market, "target_a_60", "v52_lgbm_ct_blend") == "v52_lgbm_ct_blend"
    assert choose_benchmark((), "target_a_60") is None
    with pytest.raises(MissingBenchmarkError, match="v52_lgbm_a20"):
        choose_benchmark(market, "target_a_60", "v99")


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


def test_unknown_feature_set_lists_those_there_are(tmp_path):
    with pytest.raises(UnknownFeatureSetError, match="small, medium, all"):
        contract_of(write_tournament(tmp_path), features="large")


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"feature_sets": {"all": "x"}}', '{"feature_sets": {"all": ["a", "a"]}}', "\x00"]
)
def test_catalogs_of_another_layout(tmp_path, content):
    path = tmp_path / "features.json"
    path.write_text(content)
    with pytest.raises(CatalogError):
        read_catalog(path)
    with pytest.raises(MissingFileError):
        read_catalog(tmp_path / "absent.json")


def test_extra_features_are_listed_and_order_on_disk_is_free(tmp_path):
    files = write_tournament(tmp_path)
    rewrite(files, "train", lambda frame: frame[frame.columns[::-1]].assign(feature_new=frame[files.features[0]]))
    contract = contract_of(files)
    assert contract.features == files.features
    assert contract.notes == ("train.parquet has 1 features that features.json does not know: ['feature_new']",)


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


@pytest.mark.skipif(not MARKET.is_dir(), reason="the real equities lie beside the repository in some places only")
@pytest.mark.parametrize(("target", "resolved"), [("target_a_20", 875), ("target_b_60", 867)])
def test_real_equities(target, resolved):
    contract = checked(TournamentFiles(MARKET, (), {}), DataSettings(target=target, features="all"))
    assert len(contract.resolved_eras) == resolved
    assert len(contract.features) == 188
    assert contract.benchmark == "v52_lgbm_" + target.removeprefix("target_").replace("_", "")


def with_members(files: TournamentFiles, *targets: str, residual: bool = False, **settings) -> Contract:
    return checked(files, files.settings(**settings), auxiliary=targets, residual=residual)


def test_every_target_of_a_member_has_its_own_resolved_eras(tmp_path):
    contract = with_members(write_tournament(tmp_path), "target_ender_20", "target_jasper_60")
    assert contract.targets == ("target_ender_60", "target_ender_20", "target_jasper_60")
    assert [contract.eras_of(target)[-1] for target in contract.targets] == ["0037", "0046", "0037"]
    assert [contract.horizon_of(target) for target in contract.targets] == [60, 20, 60]
    assert contract.resolved_eras[-1] == "0037"  # who is judged where is a matter of the run's own target
    assert contract.stored_eras == tuple(f"{era:04d}" for era in range(1, 47))
    assert "target_ender_20 (purge 8 weeks), 46 resolved eras to 0046" in contract.describe()
    assert from_json(Contract, json.loads(json.dumps(as_json(contract)))) == contract


def test_wrong_targets_of_members_are_named(tmp_path):
    files = write_tournament(tmp_path)
    with pytest.raises(MissingTargetError, match=r"no target_agnes_20.*member"):
        with_members(files, "target_agnes_20")
    with pytest.raises(UnknownHorizonError, match="target_ender"):
        with_members(files, "target_ender")
    for part in ("train", "validation"):
        rewrite(files, part, lambda frame: frame.assign(target_jasper_60=float("nan")))
    with pytest.raises(TooFewErasError, match="target_jasper_60"):
        with_members(files, "target_jasper_60")
    rewrite(files, "validation", lambda frame: frame.assign(target_ender_20=frame["target_ender_20"] * 4))
    with pytest.raises(BadTargetValueError, match=r"validation\.parquet: target_ender_20"):
        with_members(files, "target_ender_20")


def test_a_residual_needs_a_benchmark(tmp_path):
    files = write_tournament(tmp_path)
    assert with_members(files, residual=True).benchmark == "v53_lgbm_ender60"
    for part in ("train", "validation", "live"):
        files.path(f"{part}_benchmark_models").unlink()
    with pytest.raises(MissingBenchmarkError, match="leaves over"):
        with_members(files, residual=True)
