"""A run's scores: the eras that each metric covers, what is missing, and nothing to score."""

import json

import numpy as np
import pytest

from eraflow.scoring.exposure import era_fnc
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.ranking import EraGroups, ScoreInputError
from eraflow.scoring.scoring import ModelScores, NothingToScoreError, score_predictions
from tests.eraflow.scoring.memory_store import MemoryStore

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::scipy.stats.ConstantInputWarning")


def _score(store, predictions, **changes):
    asked = {
        "eras": store.eras,
        "target": "target_x_20",
        "horizon_days": 20,
        "benchmark": "bench",
        "meta_model": "meta",
        "fnc_features": store.features[:3],
    }
    return score_predictions(store, predictions, **{**asked, **changes})


def test_each_metric_stands_on_the_eras_it_covers():
    store = MemoryStore()
    scores = _score(store, store.signal)
    assert {name: summary.eras for name, summary in scores.summary.items()} == {
        "corr": 37,
        "bmc": 27,
        "benchmark_corr": 30,
        "mmc": 7,
        "payout": 7,
        "payout_bmc": 20,
        "fnc": 37,
        "max_exposure": 40,
    }
    assert scores.summary["mmc"].first_era == "0031"
    assert scores.summary["mmc"].last_era == "0037"
    assert scores.summary["mmc"].low == -np.inf, "seven eras are too few for a bound"
    assert scores.missing_predictions == 0
    assert scores.unscored_eras == ()
    groups = EraGroups(store.offsets())
    np.testing.assert_array_equal(
        scores.per_era["corr"].values, era_corr(store.signal, store.columns["target_x_20"], groups)[:37]
    )
    fnc = era_fnc(store.signal, store.levels[:, :3], store.columns["target_x_20"], groups)[:37]
    np.testing.assert_array_equal(scores.per_era["fnc"].values, fnc)
    assert scores.summary["fnc"].mean < scores.summary["corr"].mean / 2, "the first three features are the signal"


def test_scores_survive_json_exactly():
    scores = _score(MemoryStore(), MemoryStore().signal)
    written = json.dumps(scores.as_dict(), allow_nan=False)
    assert ModelScores.from_dict(json.loads(written)) == scores


def test_missing_and_constant_predictions_are_counted_not_hidden():
    store = MemoryStore()
    predictions = store.signal.copy()
    predictions[:5] = np.nan
    predictions[5] = np.inf
    predictions[300:400] = 0.5
    scores = _score(store, predictions, fnc_features=None, benchmark=None, meta_model=None)
    assert scores.missing_predictions == 6
    assert scores.unscored_eras == ("0004",)
    assert scores.summary["corr"].eras == 36
    assert set(scores.summary) == {"corr", "max_exposure"}


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_prediction_is_none_in_every_score(value):
    store = MemoryStore()
    infinite, missing = store.signal.copy(), store.signal.copy()
    infinite[::17], missing[::17] = value, np.nan
    assert _score(store, infinite).as_dict() == _score(store, missing).as_dict()
    assert "max_exposure" in _score(store, infinite).summary


def test_nothing_to_score_is_named():
    store = MemoryStore()
    with pytest.raises(NothingToScoreError, match=r"all predictions are 0\.5"):
        _score(store, np.full(4000, 0.5))
    with pytest.raises(NothingToScoreError, match="no era has a CORR"):
        _score(store, np.full(4000, np.nan))
    for few in (1, 60):  # also where they are equal: that says nothing of a model
        with pytest.raises(NothingToScoreError, match=r"80% of its rows have a prediction"):
            _score(store, np.where(np.arange(4000) < few, 0.5, np.inf))
    with pytest.raises(NothingToScoreError, match="300 without target_x_20"):
        _score(store, store.signal[-300:], eras=store.eras[-3:])
    with pytest.raises(ScoreInputError, match="predictions of shape"):
        _score(store, store.signal[1:])
    with pytest.raises(ScoreInputError, match="feature_none"):
        _score(store, store.signal, fnc_features=["feature_none"])


def test_a_good_score_vanishes_when_targets_are_shuffled_within_eras():
    store = MemoryStore(seed=9, n_eras=120)
    assert _score(store, store.signal, fnc_features=None).summary["corr"].low > 0
    rng = np.random.default_rng(10)
    for start in range(0, len(store.signal), store.rows_per_era):
        rng.shuffle(store.columns["target_x_20"][start : start + store.rows_per_era])
    shuffled = _score(store, store.signal, fnc_features=None)
    for metric in ("corr", "bmc"):
        summary = shuffled.summary[metric]
        assert summary.low < 0 < summary.high, metric
        assert abs(summary.mean) < 0.03, metric
