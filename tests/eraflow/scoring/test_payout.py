"""Payout as a score: the sum that Numerai pays, cut as the round says, and two scores that are never mixed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numerai_tools.scoring import correlation_contribution, numerai_corr

from eraflow.scoring.backtest import _comparisons
from eraflow.scoring.payout import TODAY, NothingPaidError, Payout, payout_of, payout_scores
from eraflow.scoring.scoring import EraScores, ModelScores, score_predictions
from eraflow.scoring.statistics import overlap_weeks, summarise
from tests.eraflow.scoring.memory_store import MemoryStore

FIGURE = st.floats(-1, 1, allow_nan=False)


def scored(store, predictions, **changes):
    asked = {"eras": store.eras, "target": "target_x_20", "horizon_days": 20, "benchmark": "bench"}
    return score_predictions(store, predictions, **{**asked, "meta_model": "meta", **changes})


def test_the_payout_of_an_era_is_what_numerai_tools_scores_and_the_round_multiplies():
    store = MemoryStore()
    scores = scored(store, store.signal, payout=Payout(0.75, 2.25, 0.05))
    rows, paid = store.offsets(), dict(zip(*scores.per_era["payout"], strict=True))
    for era, value in paid.items():
        at = store.eras.index(era)
        own = slice(int(rows[at]), int(rows[at + 1]))
        predictions = pd.DataFrame({"p": store.signal[own]})
        target = pd.Series(store.columns["target_x_20"][own], name="t")
        corr = numerai_corr(predictions, target)["p"]
        mmc = correlation_contribution(predictions, pd.Series(store.columns["meta"][own], name="m"), target)["p"]
        assert value == pytest.approx(np.clip(0.75 * corr + 2.25 * mmc, -0.05, 0.05), abs=1e-9)
    assert 0.05 in paid.values(), "else the cut was not met"


def test_no_era_has_both_payouts_and_the_benchmark_has_none_with_itself():
    store = MemoryStore()
    scores = scored(store, store.signal)
    with_mmc, with_bmc = (set(scores.per_era[name].eras) for name in ("payout", "payout_bmc"))
    assert with_mmc == set(scores.per_era["mmc"].eras)
    assert with_bmc == set(scores.per_era["bmc"].eras) - with_mmc
    assert with_mmc
    assert with_bmc
    own = scored(store, np.nan_to_num(store.columns["bench"], nan=0.5), benchmark=None)
    assert "payout" in own.summary
    assert "payout_bmc" not in own.summary


@given(corr=FIGURE, contribution=FIGURE, clip=st.floats(0.01, 2))
def test_an_era_pays_between_the_cuts_and_never_less_for_more(corr, contribution, clip):
    payout = Payout(3, 15, clip)
    found = float(payout.of(corr, contribution))
    assert -clip <= found <= clip
    assert float(payout.of(corr + 0.1, contribution)) >= found
    assert float(payout.of(corr, contribution + 0.1)) >= found


def test_what_is_not_known_pays_nothing_that_is_known():
    corr, mmc = np.array([0.1, 0.1, np.nan]), np.array([0.0, np.nan, 0.0])
    found = payout_scores(TODAY, corr, mmc, np.zeros(3))
    np.testing.assert_array_equal(np.isfinite(found["payout"]), [True, False, False])
    np.testing.assert_array_equal(np.isfinite(found["payout_bmc"]), [False, True, False])
    assert payout_scores(TODAY, corr, None, None) == {}


def test_the_multipliers_are_found_by_the_names_of_the_scores():
    assert payout_of({"corr60": 3.0, "mmc60": 15.0}) == TODAY
    assert payout_of({"v2_corr20": 0.75, "mmc": 2.25, "fnc": 1.0}, 0.05) == Payout(0.75, 2.25, 0.05)
    for nothing in ({}, {"fnc60": 1.0}, {"corr60": 0.0}, {"corr60": -1.0}):
        with pytest.raises(NothingPaidError, match=r"payout\.multipliers"):
            payout_of(nothing)


def model(**series):
    per_era = {
        name: EraScores(tuple(f"{era:04d}" for era in range(first, first + len(values))), tuple(values))
        for name, (first, values) in series.items()
    }
    overlap = overlap_weeks(20)
    summary = {name: summarise(name, s.eras, s.values, overlap) for name, s in per_era.items()}
    return ModelScores("target_x_20", 20, 1, 0, (), per_era, summary)


def test_a_comparison_with_the_benchmark_takes_the_payout_with_mmc_alone():
    """Its BMC against itself is nothing, so beating that would be no merit."""
    noise = np.random.default_rng(3).normal(0, 0.01, 60)
    ours = model(corr=(1, 0.03 + noise), payout=(31, 0.3 + noise[30:]), payout_bmc=(1, 9 + noise[:30]))
    theirs = model(corr=(1, noise), payout=(31, 0.1 + noise[::2]))
    found = _comparisons({"blend": ours, "bench": theirs}, "bench", overlap_weeks(20), 0.95)["blend"]
    assert found["payout"]["eras"] == 30
    assert found["payout"]["difference"] == pytest.approx(0.2, abs=0.01)
    assert found["payout"]["verdict"] == "better"
    assert not [key for key in found if "bmc" in key]
    without = _comparisons({"blend": model(corr=(1, noise)), "bench": theirs}, "bench", overlap_weeks(20), 0.95)
    assert "payout" not in without["blend"]
