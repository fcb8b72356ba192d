"""The data contract: whole folders in every accepted shape pass, and tell what is learnt from which eras."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import polars as pl
import pytest

from eraflow.data.contract import Contract
from eraflow.data.contractcheck import BadTargetValueError, MissingTargetError
from eraflow.data.eras import AliasTargetError, BadEraError, TooFewErasError, UnknownHorizonError
from eraflow.machine.job import as_json, decided, from_json
from eraflow.settings.data import DataSettings
from tests.eraflow.data.contracts import checked, contract_of, rewrite, with_members
from tests.tournament_files import TournamentFiles, write_tournament

MARKET = Path(__file__).resolve().parents[4] / "shared" / "market"


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


def test_extra_features_are_listed_and_order_on_disk_is_free(tmp_path):
    files = write_tournament(tmp_path)
    rewrite(files, "train", lambda frame: frame[frame.columns[::-1]].assign(feature_new=frame[files.features[0]]))
    contract = contract_of(files)
    assert contract.features == files.features
    assert contract.notes == ("train.parquet has 1 features that features.json does not know: ['feature_new']",)


@pytest.mark.skipif(not MARKET.is_dir(), reason="the real equities lie beside the repository in some places only")
@pytest.mark.parametrize(("target", "resolved"), [("target_a_20", 875), ("target_b_60", 867)])
def test_real_equities(target, resolved):
    contract = checked(TournamentFiles(MARKET, (), {}), DataSettings(target=target, features="all"))
    assert len(contract.resolved_eras) == resolved
    assert len(contract.features) == 188
    assert contract.benchmark == "v52_lgbm_" + target.removeprefix("target_").replace("_", "")


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
