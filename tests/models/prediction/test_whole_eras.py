"""Members that need whole eras: an era that is larger than a tile is put together for them, and for them alone."""

import json

import numpy as np
import polars as pl
import pytest

from eraflow.machine.plan import Plan
from eraflow.scoring.ranking import EraGroups
from models.base.wholeeras import FitEras, fit_in_eras
from models.ensembles.ensemble import Ensemble, write_ensemble
from models.kinds import make_model
from models.own.ownmodel import OwnModel
from models.prediction.predictor import load_predictor, whole_eras_in
from models.prediction.stream import predict_stream
from tasks.needs import predict_need
from tests.models.planted import PLAN, TARGET, fast, plant
from tests.own_models import FOLDER

ROWS = 100
NARROW = Plan(threads=1, rows_in_memory=30)
KINDS = {"boosted": "lightgbm", "relative": f"{FOLDER}/relative.py:Relative", "ridge": f"{FOLDER}/mine.py:Ridge"}


@pytest.fixture(scope="module")
def planted():
    return plant(eras=20, rows=ROWS)


@pytest.fixture(scope="module")
def folders(planted, tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    offsets = np.arange(0, len(planted.x) + 1, ROWS)
    eras = FitEras(offsets, np.arange(len(offsets) - 1), 8)
    for name, kind in KINDS.items():
        model = make_model(kind, fast(kind))
        fit_in_eras(model, planted.x, planted.y, eras, plan=PLAN, seed=1)
        model.save(place / name)
    return {name: place / name for name in KINDS}


def ensemble_of(folder, planted, folders):
    write_ensemble(
        folder,
        folders,
        features=planted.features,
        method="rank-gaussian",
        weights=[1 / len(folders)] * len(folders),
        target=TARGET,
        horizon_days=20,
        data_version="v5.3",
    )
    return folder


@pytest.fixture(scope="module")
def mixed(planted, folders, tmp_path_factory):
    return ensemble_of(tmp_path_factory.mktemp("mixed") / "ensemble", planted, folders)


@pytest.fixture
def data(planted, tmp_path):
    path = tmp_path / "data.parquet"
    planted.frame().drop(TARGET).write_parquet(path)
    return path


@pytest.mark.parametrize("prefetch", ["on", "off"])
def test_an_era_larger_than_a_tile_is_whole_for_the_member_that_needs_it(planted, mixed, data, tmp_path, prefetch):
    out = tmp_path / "out.parquet"
    predict_stream(load_predictor(mixed), data, out, NARROW, prefetch=prefetch)
    groups = EraGroups(np.arange(0, len(planted.x) + 1, ROWS))
    expected = Ensemble.load(mixed).predict(planted.x, groups, plan=PLAN)
    np.testing.assert_allclose(pl.read_parquet(out)["prediction"].to_numpy(), expected, rtol=0, atol=1e-12)


def test_a_single_model_gets_whole_eras_too(planted, folders, data, tmp_path):
    names = tmp_path / "features.json"
    names.write_text(json.dumps(planted.features))
    out = tmp_path / "out.parquet"
    predict_stream(load_predictor(folders["relative"], names), data, out, NARROW)
    model = OwnModel.load(folders["relative"])
    expected = model.predict(planted.x, eras=np.arange(0, len(planted.x) + 1, ROWS))
    np.testing.assert_array_equal(pl.read_parquet(out)["prediction"].to_numpy(), expected)


def test_the_other_members_still_see_tiles(mixed, data, tmp_path, monkeypatch):
    seen = []
    predictor = load_predictor(mixed)
    ours = type(predictor).predict_members
    monkeypatch.setattr(
        type(predictor), "predict_members", lambda one, x, **more: seen.append(len(x)) or ours(one, x, **more)
    )
    predict_stream(predictor, data, tmp_path / "out.parquet", NARROW)
    assert max(seen) <= 30


def test_an_era_is_kept_only_for_who_needs_it(planted, folders, data, tmp_path):
    others = {name: folder for name, folder in folders.items() if name != "relative"}
    plain = ensemble_of(tmp_path / "plain", planted, others)
    assert not load_predictor(plain).needs_whole_eras
    need, bare = (predict_need(folder, data) for folder in (ensemble_of(tmp_path / "all", planted, folders), plain))
    assert (need.judged, bare.judged) == (len(planted.x), 0)


def test_whole_eras_are_told_without_loading_anything(mixed, folders, tmp_path):
    assert whole_eras_in(mixed)
    assert whole_eras_in(folders["relative"])
    assert not whole_eras_in(folders["ridge"])
    assert not whole_eras_in(tmp_path)
