"""One trial: its short cuts give the scores of plain fits, judged by numerai-tools."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import correlation_contribution, numerai_corr

from eraflow.erastore.erareader import EraStore
from eraflow.scoring.payout import Payout
from models.kinds import make_model
from models.search.job import Learnt
from models.search.scored import ScoredEras, Sides, probe_eras
from models.search.space import space_for
from models.search.trial import PROBE_SHARE, Bench, GivenUpError, TrialScores
from models.training.trainer import fit_eras, training_view
from tests.models.planted import PLAN, TARGET
from tests.models.search.searches import eras_of

SIDES = Sides(TARGET)


def bench_of(home, labels, kind="lightgbm", given=None, **plan):
    store = EraStore.open(home / "store")
    space = space_for(kind, given or {"n_estimators": 16}, rows=1_000, features=8)
    folds = eras_of(labels).folds
    return Bench(store, folds, Learnt(TARGET), SIDES, space, seed=3, plan=replace(PLAN, **plan), scratch=home)


def never(step, value):
    return False


def quietly(part):
    return None


def plain_corr(store, predictions, eras):
    """numerai-tools through groupby, as a notebook does it."""
    frame = pd.DataFrame({"p": predictions, "t": store.column(TARGET, eras)})
    by_era = frame.groupby(np.repeat(np.arange(len(eras)), np.diff(store.offsets(eras))))
    return float(np.mean([numerai_corr(group[["p"]], group["t"])["p"] for _, group in by_era]))


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost"])
def test_every_look_shows_what_a_plain_fit_of_so_many_trees_scores(home, labels, kind):
    bench = bench_of(home, labels, kind, {"n_estimators": 16, "learning_rate": 0.1})
    scores = bench.run(bench.space.params({}), never, quietly)
    store = EraStore.open(home / "store")
    for look in (2, 7):
        held_out, training = [], []
        for fold in eras_of(labels).folds:
            model = make_model(kind, {"n_estimators": scores.looks[look], "learning_rate": 0.1})
            x, y = training_view(store, TARGET, fold.train)
            model.fit(x, y, plan=PLAN, seed=3)
            probe = probe_eras(fold.train, max(2, round(PROBE_SHARE * len(fold.test))))
            held_out.append(plain_corr(store, model.predict(store.matrix(fold.test)), fold.test))
            training.append(plain_corr(store, model.predict(store.matrix(probe)), probe))
        assert scores.looks[look] == 2 * (look + 1)
        # The sums of trees are rounded otherwise than whole predictions: ties may be broken, no more.
        assert scores.score[look] == pytest.approx(np.mean(held_out), abs=2e-3 if kind == "xgboost" else 1e-6)
        assert scores.training[look] == pytest.approx(np.mean(training), abs=2e-3 if kind == "xgboost" else 1e-6)


NETWORK = {"hidden": [16], "updates": 30, "batch_size": 256, "learning_rate": 0.01}


def held_out_corr(store, kind, params):
    """Mean CORR over the folds of plain fits."""
    found = []
    for fold in eras_of(list(store.eras)).folds:
        model = make_model(kind, params)
        x, y = training_view(store, TARGET, fold.train)
        model.fit(x, y, plan=PLAN, seed=3, eras=fit_eras(store, fold.train, 8))
        found.append(plain_corr(store, model.predict(store.matrix(fold.test)), fold.test))
    return float(np.mean(found))


def test_a_trial_of_a_network_scores_what_a_plain_fit_scores_and_is_asked_half_way(home, labels):
    given = {**NETWORK, "validation_share": 0.0, "seeds": 2}
    bench, asked = bench_of(home, labels, "mlp", given), []
    params = bench.space.params({"dropout": 0.3, "weight_decay": 0.02, "correlation_share": 0.0})
    scores = bench.run(params, lambda step, value: bool(asked.append(step)), quietly)
    assert (scores.looks, asked) == ((15, 30), [0, 1, 2, 3])
    one_network = {**params, "seeds": 1}  # a trial is one network; the finalists are as many as the settings say
    assert scores.score[-1] == pytest.approx(held_out_corr(EraStore.open(home / "store"), "mlp", one_network), abs=1e-9)
    assert scores.chosen(0.0) == 1
    with pytest.raises(GivenUpError, match="behind after 1 of 2 looks at fold 1"):
        bench.run(params, lambda step, value: step == 0, quietly)
    assert bench.run(params, never, quietly) == scores


def test_a_network_that_goes_wrong_is_a_bad_trial(home, labels):
    bench = bench_of(home, labels, "mlp", {**NETWORK, "learning_rate": 1e6})
    with pytest.raises(GivenUpError):
        bench.run(bench.space.params({}), never, quietly)


def test_a_network_of_whole_eras_is_given_them(home, labels):
    small = {"across": "era", "groups": "correlated", "tokens": 2, "width": 8, "heads": 2, "points": 2, "updates": 4}
    scores = bench_of(home, labels, "transformer", small).run(small, never, quietly)
    assert len(scores.score) == 2
    assert np.isfinite(scores.score).all()


def test_a_second_trial_on_the_shared_rows_is_as_one_on_fresh_ones(home, labels):
    shared = bench_of(home, labels)
    other = shared.space.params({"max_depth": 3, "lambda_l2": 50.0})
    first = shared.run(shared.space.params({}), never, quietly)
    second = shared.run(other, never, quietly)
    assert second == bench_of(home, labels).run(other, never, quietly)
    assert second == bench_of(home, labels, low_memory=True).run(other, never, quietly)
    assert second != first
    assert TrialScores.from_dict(second.as_dict()) == second
    assert second.as_dict()["trees_free"] is False  # so it is called in studies that were begun long ago


def test_a_plan_that_changes_what_is_learnt_is_no_plan_for_a_trial(home, labels):
    usual, hurried = bench_of(home, labels), bench_of(home, labels, work_factor=0.5, rate_factor=0.3)
    params = usual.space.params({})
    assert hurried.run(params, never, quietly) == usual.run(params, never, quietly)


def test_a_trial_is_asked_at_half_and_at_the_end_of_each_fold_and_stops_when_told(home, labels):
    bench, asked, parts = bench_of(home, labels), [], []
    bench.run(bench.space.params({}), lambda step, value: bool(asked.append(step)), parts.append)
    assert asked == [0, 1, 2, 3]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    with pytest.raises(GivenUpError, match="behind after 4 of 8 looks at fold 2"):
        bench.run(bench.space.params({}), lambda step, value: step == 2, quietly)
    bench.run(bench.space.params({}), never, quietly)  # the next trial is not disturbed


def test_parameters_under_which_nothing_is_learnt_are_a_bad_trial_not_a_failure(home, labels):
    bench = bench_of(home, labels)
    scores = bench.run(bench.space.params({"min_data_in_leaf": 100_000}), never, quietly)
    assert set(scores.score) == {0.0}


def test_the_best_number_of_trees_is_read_off_only_where_it_is_free(home, labels):
    scores = TrialScores(
        (10, 20, 30), (0.01, 0.03, 0.02), (0.01, 0.03, 0.02), (0.05, 0.2, 0.4), ((),), length_free=True
    )
    assert scores.chosen(0.0) == 1
    assert scores.value(0.0) == 0.03
    assert scores.chosen(1.0) == 0  # the gap at 20 trees is too dear
    stated = replace(scores, length_free=False)
    assert stated.chosen(1.0) == 2
    assert stated.value(0.1) == pytest.approx(0.02 - 0.1 * 0.38)


@pytest.mark.parametrize("paid", [Payout(), Payout(0.0, 2.0), Payout(3.0, 15.0, 0.1)])
def test_payout_is_that_of_numerai_tools_cut_in_each_era(home, labels, paid):
    store = EraStore.open(home / "store")
    rng = np.random.default_rng(0)
    eras = labels[20:25]
    other, predictions = (rng.normal(size=int(store.offsets(eras)[-1])) for _ in range(2))

    class WithMeta:
        def column(self, name, eras=None):
            return other if name == "meta" else store.column(name, eras)

        def __getattr__(self, name):
            return getattr(store, name)

    score, corr = ScoredEras(WithMeta(), eras, Sides(TARGET, "meta", paid)).scores(predictions)
    frame = pd.DataFrame({"p": predictions, "m": other, "t": store.column(TARGET, eras)})
    by_era = frame.groupby(np.repeat(np.arange(5), np.diff(store.offsets(eras))))
    mmcs = [correlation_contribution(one[["p"]], one["m"], one["t"])["p"] for _, one in by_era]
    corrs = [numerai_corr(one[["p"]], one["t"])["p"] for _, one in by_era]
    payouts = [paid.corr * one + paid.mmc * other for one, other in zip(corrs, mmcs, strict=True)]
    assert corr == pytest.approx(np.mean(corrs), abs=1e-9)
    assert score == pytest.approx(np.clip(payouts, -paid.clip, paid.clip).mean(), abs=1e-9)
    assert paid.clip == 1.0 or max(np.abs(payouts)) > paid.clip


def test_a_gap_in_corr_weighs_by_what_corr_is_worth_in_the_score():
    scores = TrialScores(
        (10,), (0.3,), (0.03,), (0.13,), ((),), length_free=True, unit=Sides(TARGET, "meta", Payout()).unit
    )
    assert scores.value(0.1) == pytest.approx(0.3 - 0.1 * 3 * 0.1)
    assert Sides(TARGET).unit == 1
    assert Sides(TARGET, "meta", Payout(0.0, 2.0)).unit == 2


@pytest.mark.parametrize(("count", "most", "picked"), [(5, 9, 5), (9, 3, 3), (2, 2, 2)])
def test_training_eras_for_the_gap_are_spread_evenly(count, most, picked):
    eras = tuple(f"{number:04d}" for number in range(count))
    probe = probe_eras(eras, most)
    assert len(probe) == picked
    assert probe[0] == eras[0]
    assert probe[-1] == eras[-1]
