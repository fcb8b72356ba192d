"""A blend is a row of the table: what is judged out of fold is what the ensemble does live, with stored weights."""

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.disk.digest import value_sha256
from eraflow.scoring.neutralise import Neutralisation
from eraflow.scoring.ranking import EraGroups
from eraflow.settings.blend import BlendMethod, BlendSettings
from models.base.predictions import read_out_of_fold
from models.ensembles.blend import blend_members
from models.ensembles.blends import BLENDS, Blend, BlendWeightsError, UnknownBlendError, checked_weights, equal_weights
from models.ensembles.ensemble import Ensemble, read_ensemble
from models.ensembles.rankblend import rank_gaussian_blend
from models.prediction.predict import predict_file
from tests.models.conftest import blending
from tests.models.planted import PLAN, plant

UNEQUAL = [0.6, 0.1, 0.3]
SOME = ["feature_00", "feature_04", "feature_05", "feature_11"]


def scaled_mean(members, groups, weights):
    """Not ranks: each member less its mean, by its deviation, in its era; nothing that the default does."""
    blend = np.empty(len(members))
    for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        era = members[start:stop]
        blend[start:stop] = ((era - era.mean(axis=0)) / era.std(axis=0)) @ weights
    return blend


def by_spread(members, groups):
    """Weights that depend on what the members predict."""
    spread = members.std(axis=0)
    return list(spread / spread.sum())


@pytest.fixture(autouse=True)
def rows(monkeypatch):
    monkeypatch.setitem(BLENDS, "toy", Blend(by_spread, scaled_mean))
    monkeypatch.setitem(BLENDS, "unequal", Blend(lambda members, groups: UNEQUAL, rank_gaussian_blend))


def out_of_fold(week):
    return np.stack([read_out_of_fold(Path(each) / "oof.parquet").values for each in week.folders.values()], axis=1)


def test_the_settings_name_every_row_of_the_table_and_no_other():
    assert set(get_args(BlendMethod)) == BLENDS.keys() - {"toy", "unequal"}
    assert BlendSettings().method in BLENDS


@pytest.mark.parametrize("neutralise", [None, Neutralisation(0.5, tuple(SOME))], ids=["plain", "neutralised"])
@pytest.mark.parametrize("method", ["rank-gaussian", "toy", "unequal"])
def test_one_row_is_judged_written_loaded_and_predicted_with(week, tmp_path, method, neutralise):
    metrics = blend_members(**blending(week.store, tmp_path, week.folders, method=method, neutralise=neutralise))
    described = read_ensemble(tmp_path / "ensemble")
    ensemble, oof = Ensemble.load(tmp_path / "ensemble"), read_out_of_fold(tmp_path / "oof.parquet")
    assert (metrics["method"], described["method"]) == (method, method)
    assert metrics["weights"] == [each["weight"] for each in described["members"]] == ensemble.weights.tolist()
    finished = ensemble.finish(out_of_fold(week), oof.groups, lambda era: week.store.matrix([oof.eras[era]]))
    np.testing.assert_array_equal(finished, oof.values)

    live = plant(eras=2, rows=70, seed=5)
    live.frame().write_parquet(tmp_path / "live.parquet")
    given = {"ensemble": str(tmp_path / "ensemble"), "data": str(tmp_path / "live.parquet")}
    predict_file(out=str(tmp_path / "out.parquet"), plan=PLAN.as_dict(), **given)
    sent, groups = pl.read_parquet(tmp_path / "out.parquet")["prediction"].to_numpy(), EraGroups.from_sizes([70, 70])
    np.testing.assert_array_equal(sent, ensemble.predict(live.x, groups, plan=PLAN))
    if neutralise is None:
        members = ensemble.predict_members(live.x, plan=PLAN)
        np.testing.assert_array_equal(sent, BLENDS[method].combine(members, groups, ensemble.weights))


def test_rows_of_the_table_differ_out_of_fold_and_live(week, tmp_path):
    """Equal weights, unequal ones and another method: three blends in both places, and three signatures."""
    x, groups = plant(eras=1, rows=60, seed=6).x, EraGroups.from_sizes([60])
    judged, sent, signatures = [], [], set()
    for method in ("rank-gaussian", "unequal", "toy"):
        out = tmp_path / method
        signatures.add(blend_members(**blending(week.store, out, week.folders, method=method))["ensemble_signature"])
        judged.append(read_out_of_fold(out / "oof.parquet").values)
        sent.append(Ensemble.load(out / "ensemble").predict(x, groups, plan=PLAN))
    for found in (judged, sent):
        assert not any(np.allclose(found[a], found[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert len(signatures) == 3
    weighted = rank_gaussian_blend(
        out_of_fold(week), read_out_of_fold(week.blend / "oof.parquet").groups, np.array(UNEQUAL)
    )
    np.testing.assert_array_equal(judged[1], weighted)


def changed(week, folder, change):
    """A whole ensemble with another description, signed."""
    shutil.copytree(week.ensemble, folder)
    described = json.loads((folder / "ensemble.json").read_text())
    change(described)
    del described["signature"]
    described["signature"] = value_sha256(described)
    (folder / "ensemble.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize("method", ["stacking", None, 3, ["rank-gaussian"]])
def test_a_stored_method_that_is_not_known_is_named(week, tmp_path, method):
    folder = changed(week, tmp_path / "ensemble", lambda described: described.update(method=method))
    with pytest.raises(UnknownBlendError, match="rank-gaussian") as error:
        Ensemble.load(folder)
    assert "use the version that made the ensemble" in error.value.remedy
    whole = Ensemble.load(week.ensemble)
    with pytest.raises(UnknownBlendError):
        Ensemble({**whole.description, "method": method}, whole.members).finish(
            np.ones((4, 3)), EraGroups.from_sizes([4])
        )


@pytest.mark.parametrize("weight", [-0.1, 0.9, None, "0.3333", True, [1 / 3]])
def test_stored_weights_that_do_not_fit_are_named(week, tmp_path, weight):
    folder = changed(week, tmp_path / "e", lambda described: described["members"][0].update(weight=weight))
    with pytest.raises(BlendWeightsError, match="lightgbm, xgboost, catboost"):
        Ensemble.load(folder)


@pytest.mark.parametrize(
    "weights",
    [[], [1.0], [0.5, 0.5], [0.5, 0.5, 0.5], [1.0, 1.0, -1.0], [np.nan, 0.5, 0.5], [np.inf, 0, 0]],
)
def test_a_method_that_weighs_wrongly_ends_the_stage_before_anything_is_written(week, tmp_path, monkeypatch, weights):
    monkeypatch.setitem(BLENDS, "wrong", Blend(lambda members, groups: weights, rank_gaussian_blend))
    with pytest.raises(BlendWeightsError):
        blend_members(**blending(week.store, tmp_path, week.folders, method="wrong"))
    assert list(tmp_path.iterdir()) == []


@given(st.integers(1, 12))
@settings(max_examples=12, deadline=None)
def test_equal_weights_fit_any_number_of_members(count):
    weights = equal_weights(np.ones((2, count)), EraGroups.from_sizes([2]))
    assert len(set(checked_weights(weights, ["m"] * count).tolist())) == 1
