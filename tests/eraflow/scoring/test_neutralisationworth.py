"""What neutralising is worth: the table agrees with the scores themselves, and finds what was planted."""

import json

import numpy as np
import pytest

from eraflow.scoring import neutralisationworth
from eraflow.scoring.neutralisationworth import JudgedEras, estimated_minutes, neutralisation_worth
from eraflow.scoring.neutralise import neutralise
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.scoring import score_predictions
from eraflow.scoring.sharpecomparison import sharpe_comparison
from eraflow.scoring.statistics import sharpe
from tests.eraflow.scoring.memory_store import MemoryStore

TARGET = "target_x_20"


def judged_of(store, **over):
    values = {
        "eras": store.eras[:37],
        "target": TARGET,
        "horizon_days": 20,
        "benchmark": "bench",
        "meta_model": "meta",
        "confidence": 0.95,
    }
    return JudgedEras(**{**values, **over})


@pytest.fixture(scope="module")
def judged():
    store = MemoryStore(n_eras=40)
    judged = judged_of(store)
    blend = store.signal[: 37 * store.rows_per_era]
    return store, blend, judged, neutralisation_worth(store, blend, store.features[:3], 0.6, judged)


def row_of(table, proportion):
    return next(row for row in table["proportions"] if row["proportion"] == proportion)


def test_the_chosen_proportion_is_among_the_usual_ones(judged):
    table = judged[3]
    assert [row["proportion"] for row in table["proportions"]] == [0.0, 0.25, 0.5, 0.6, 0.75, 1.0]
    assert (table["chosen"], table["features"]) == (0.6, 3)
    assert json.loads(json.dumps(table, allow_nan=False)) == table


@pytest.mark.parametrize("proportion", [0.0, 0.6, 1.0])
def test_each_row_is_what_scoring_says_of_those_predictions(judged, proportion):
    store, blend, given, table = judged
    groups = EraGroups(store.offsets(given.eras))
    values = np.concatenate(
        [
            neutralise(blend[start:stop], store.levels[start:stop, :3], proportion)
            for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True)
        ]
    )
    scores = score_predictions(
        store, values, eras=given.eras, target=TARGET, horizon_days=20, benchmark="bench", meta_model="meta"
    )
    row = row_of(table, proportion)
    for name in ("corr", "mmc", "bmc", "max_exposure"):
        assert row[name]["mean"] == pytest.approx(scores.summary[name].mean, abs=1e-9), name
        assert row[name]["eras"] == scores.summary[name].eras
    assert row["sharpe"]["mean"] == pytest.approx(scores.summary["corr"].sharpe, abs=1e-9)


def test_taking_out_the_signal_is_found_to_be_worse_and_the_exposure_better(judged):
    table = judged[3]
    plain, bare = row_of(table, 0.0), row_of(table, 1.0)
    assert plain["corr"]["verdict"] == "not distinguishable"
    assert plain["corr"]["difference"] == 0
    assert bare["corr"]["verdict"] == "worse"
    assert bare["corr"]["high"] < 0
    assert bare["max_exposure"]["verdict"] == "better"
    assert bare["max_exposure"]["difference"] < 0
    assert bare["sharpe"]["difference"] == pytest.approx(bare["sharpe"]["mean"] - plain["sharpe"]["mean"])


def test_neutralising_to_what_carries_nothing_is_not_distinguishable_or_small():
    store = MemoryStore(n_eras=40)
    given = judged_of(store)
    noise = np.random.default_rng(1).standard_normal(37 * store.rows_per_era)
    table = neutralisation_worth(store, store.signal[: noise.size] + noise, store.features[3:], 0.0, given)
    assert abs(row_of(table, 1.0)["corr"]["difference"]) < 0.01


def test_without_benchmark_and_meta_model_there_is_no_bmc_and_mmc():
    store = MemoryStore(n_eras=40)
    given = judged_of(store, benchmark=None, meta_model=None)
    row = neutralisation_worth(store, store.signal[: 37 * 100], store.features, 0.0, given)["proportions"][2]
    assert set(row) == {"proportion", "explained_eras", "corr", "sharpe", "max_exposure"}


def test_an_era_that_the_features_explain_is_counted_and_not_scored():
    store = MemoryStore(n_eras=40)
    given = judged_of(store)
    blend = store.signal[: 37 * 100].copy()
    blend[:100] = store.levels[:100, 0] + 2.0 * store.levels[:100, 1]
    table = neutralisation_worth(store, blend, store.features, 0.0, given)
    assert [row["explained_eras"] for row in table["proportions"]] == [0, 0, 0, 0, 1]
    assert row_of(table, 1.0)["corr"]["eras"] == 36


def test_what_would_take_too_long_is_left_out_with_the_reason(monkeypatch):
    store = MemoryStore(n_eras=40)
    given = judged_of(store)
    monkeypatch.setattr(neutralisationworth, "MOST_MINUTES", 1e-9)
    left_out = neutralisation_worth(store, store.signal[: 37 * 100], store.features, 0.0, given)
    assert set(left_out) == {"left_out"}
    assert "minutes" in left_out["left_out"]


def test_the_estimate_grows_with_rows_and_the_square_of_features_and_sees_hard_eras():
    class Sized:
        """Rows and features enough for the estimate; the few that it looks at are dependent beyond repair, or not."""

        features = tuple(f"feature_{i}" for i in range(40))

        def __init__(self, rows):
            self.rows = rows

        def offsets(self, eras=None):
            return np.arange(len(eras) + 1) * 10**8

        def matrix(self, eras=None, features=None):
            return np.random.default_rng(0).integers(0, 5, (self.rows, 40)).astype(np.int8)

    eras = [f"{i:04d}" for i in range(60)]
    easy, hard = (estimated_minutes(Sized(rows), Sized.features, eras) for rows in (90, 30))
    assert easy == pytest.approx(60 * 10**8 * 40**2 / neutralisationworth.SLOW_RATE / 60)
    assert hard == pytest.approx(neutralisationworth.LSTSQ_FACTOR * easy)
    assert estimated_minutes(Sized(90), Sized.features, eras[:30]) == pytest.approx(easy / 2)


def overlapping(rng, weeks, size, n):
    """Moving averages over so many weeks, of variance one."""
    sums = np.cumsum(np.pad(rng.standard_normal((size, n + weeks - 1)), ((0, 0), (1, 0))), axis=1)
    return (sums[:, weeks:] - sums[:, :-weeks]) / np.sqrt(weeks)


@pytest.mark.parametrize(("weeks", "n"), [(5, 330), (13, 100)])
def test_equal_sharpes_are_seldom_told_apart_though_scores_overlap(weeks, n):
    rng, size = np.random.default_rng(0), 500
    common, own, other = (overlapping(rng, weeks, size, n) for _ in range(3))
    a = 0.5 + np.sqrt(0.8) * common + np.sqrt(0.2) * own
    b = 3 * (0.5 + np.sqrt(0.8) * common + np.sqrt(0.2) * other)
    verdicts = [sharpe_comparison(x, y, weeks).verdict for x, y in zip(a, b, strict=True)]
    assert verdicts.count("better") / size < 0.10
    assert verdicts.count("worse") / size < 0.10


def test_a_sharpe_that_is_better_is_found_and_the_scale_does_not_matter():
    rng = np.random.default_rng(1)
    common = rng.standard_normal(400)
    steady = 0.8 + 0.9 * common + 0.1 * rng.standard_normal(400)
    wild = 0.3 + 0.9 * common + 0.1 * rng.standard_normal(400)
    found = sharpe_comparison(steady, 100 * wild, 5)
    assert found.verdict == "better"
    assert found.difference == pytest.approx(sharpe(steady) - sharpe(wild))
    assert sharpe_comparison(np.ones(50), rng.standard_normal(50), 5).verdict == "not distinguishable"
