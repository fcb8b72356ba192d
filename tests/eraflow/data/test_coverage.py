"""Benchmarks and the meta-model: which is chosen, which may be absent, which do not belong to the data."""

from __future__ import annotations

import pandas as pd
import pytest

from eraflow.data.coverage import JoinedFileMismatchError, MissingBenchmarkError, choose_benchmark
from eraflow.data.eraindex import DuplicateIdError
from eraflow.data.footer import MissingColumnError
from eraflow.data.readable import MissingFileError
from tests.eraflow.data.contracts import contract_of, rewrite, with_members
from tests.tournament_files import write_parquet, write_tournament


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


def test_a_residual_needs_a_benchmark(tmp_path):
    files = write_tournament(tmp_path)
    assert with_members(files, residual=True).benchmark == "v53_lgbm_ender60"
    for part in ("train", "validation", "live"):
        files.path(f"{part}_benchmark_models").unlink()
    with pytest.raises(MissingBenchmarkError, match="leaves over"):
        with_members(files, residual=True)
