"""What a member is worth is what the blend loses without it: the same procedure on the others, scored exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plantedmembers import tournament
from eraflow.scoring.memberworth import mean_correlations, member_worth, paid_metric
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.neutralise import Neutralisation
from eraflow.scoring.payout import TODAY
from eraflow.scoring.ranking import EraGroups
from models.base.predictions import read_out_of_fold
from models.ensembles.blend import blend_members
from models.ensembles.exactscores import exact_payouts
from models.ensembles.job import Learning, ScoredBlends
from models.ensembles.rankblend import rank_gaussian_blend
from models.ensembles.weighing import Weighing
from models.ensembles.withoutone import WITHOUT, ExactScorer, member_correlations, write_without
from tests.models.conftest import blending
from tests.models.planted import TARGET

OVERLAP = 5
SCORED = ScoredBlends(meta_model=None, benchmark=None, payout=TODAY)
LEARNING = Learning(
    meta_model=None, benchmark=None, purge_weeks=8, confidence=0.95, weighing=Weighing(warm_up=3, half_life=8)
)


def worth_of(drawn, out, names):
    scorer = ExactScorer(drawn.truth, drawn.groups, TODAY)
    blend = rank_gaussian_blend(drawn.members, drawn.groups)
    write_without(
        out,
        blend,
        drawn.members,
        names,
        drawn.groups,
        scorer,
        lambda rest, _: rank_gaussian_blend(rest, drawn.groups),
        lambda _: None,
    )
    return member_worth(out / WITHOUT, OVERLAP, 0.95)


def test_planted_skill_adds_a_harmful_member_takes_away_and_a_copy_says_nothing(tmp_path):
    drawn = tournament([0.15, 0.15, -0.2], eras=160, alike=0.0, seed=3)
    found = worth_of(drawn, tmp_path, ("good", "other", "harmful"))["members"]
    for metric in ("corr", "sharpe", "payout"):
        assert [found[name][metric]["verdict"] for name in ("good", "other", "harmful")] == ["better"] * 2 + ["worse"]
    copied = replace(drawn, members=drawn.members[:, [0, 0]])
    twin = worth_of(copied, tmp_path, ("one", "twin"))
    assert {one["corr"]["verdict"] for one in twin["members"].values()} == {"not distinguishable"}
    assert {one["corr"]["difference"] for one in twin["members"].values()} == {0.0}
    assert mean_correlations(twin["correlation"]) == pytest.approx({"one": 1.0, "twin": 1.0})


def test_of_shuffled_targets_no_member_is_worth_anything(tmp_path):
    """Sixteen tournaments of three members, one-sided 95 % bounds: about five of 96 claims would be false by chance."""
    claims = 0
    for seed in range(16):
        drawn = tournament([0.15, 0.1, 0.0], eras=100, rows=60, seed=seed, shuffled=True)
        found = worth_of(drawn, tmp_path, tuple("abc"))["members"].values()
        claims += sum(one["corr"]["verdict"] != "not distinguishable" for one in found)
    assert claims <= 12


def test_payouts_are_told_where_the_meta_model_covers_and_elsewhere_with_bmc_apart(tmp_path):
    drawn = tournament([0.1, 0.1], eras=80, rows=80, meta_from=50)
    benchmark = np.random.default_rng(1).standard_normal(len(drawn.members))
    drawn = replace(drawn, truth=replace(drawn.truth, benchmark=benchmark))
    found = worth_of(drawn, tmp_path, ("a", "b"))["members"]
    assert {name: found["a"][name]["eras"] for name in ("payout", "payout_bmc", "mmc", "corr")} == {
        "payout": 30,
        "payout_bmc": 50,
        "mmc": 30,
        "corr": 80,
    }
    assert paid_metric(found) == "payout"
    scores = ExactScorer(drawn.truth, drawn.groups, TODAY).of(drawn.members[:, 0])
    exact = exact_payouts(drawn.members[:, 0], drawn.groups, drawn.truth, TODAY)
    np.testing.assert_allclose(np.where(np.isnan(scores["payout"]), scores["payout_bmc"], scores["payout"]), exact)


@pytest.mark.parametrize("neutralise", [None, Neutralisation(0.5, ("feature_00", "feature_04"))], ids=["", "neutral"])
@pytest.mark.parametrize("method", ["rank-gaussian", "exponential", "payout"])
def test_without_a_member_is_what_the_stage_makes_of_the_others(week, tmp_path, method, neutralise):
    """Weights are learnt again without it; what is neutralised is told of as it was before."""
    learning = None if method == "rank-gaussian" else LEARNING
    asked = {"method": method, "learning": learning}
    blend_members(
        **blending(week.store, tmp_path / "all", week.folders, without=SCORED, neutralise=neutralise, **asked)
    )
    written = json.loads((tmp_path / "all" / WITHOUT).read_text())
    assert set(written["without"]) == set(week.folders)
    for name in week.folders:
        others = {other: folder for other, folder in week.folders.items() if other != name}
        blend_members(**blending(week.store, tmp_path / name, others, **asked))
        oof = read_out_of_fold(tmp_path / name / "oof.parquet")
        corr = era_corr(oof.values, week.store.column(TARGET, oof.eras), oof.groups)
        np.testing.assert_array_equal(written["without"][name]["corr"], corr)


def test_one_member_alone_has_no_worth_and_telling_it_changes_no_blend(week, tmp_path):
    alone = {"lightgbm": week.folders["lightgbm"]}
    blend_members(**blending(week.store, tmp_path / "alone", alone, without=SCORED))
    assert not (tmp_path / "alone" / WITHOUT).exists()
    told = blend_members(**blending(week.store, tmp_path / "told", week.folders, without=SCORED))
    assert told == week.blend_metrics
    assert (tmp_path / "told" / "oof.parquet").read_bytes() == (Path(week.blend) / "oof.parquet").read_bytes()


@given(st.integers(0, 10_000))
def test_correlations_are_those_of_the_ranks_of_each_era(seed):
    random = np.random.default_rng(seed)
    groups = EraGroups.from_sizes([20, 35])
    one = random.standard_normal(55)
    columns = np.stack([one, np.exp(one), -one, random.standard_normal(55), np.zeros(55)], axis=1)
    found = member_correlations(columns, groups)
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_allclose(found[0, :3], [1, 1, -1])
    assert abs(found[0, 3]) < 1
    np.testing.assert_allclose(found[4], 0)
