"""Importance: what a model uses is found, what it does not use is nothing, whatever the library."""

import numpy as np
import polars as pl
import pytest

from eraflow.kinds import ROWS
from eraflow.machine.plan import Plan
from models.base.predictions import OutOfFoldFileError
from models.boosters.lightgbm_model import LightGBMModel
from models.kinds import make_model
from models.training import importance
from models.training.importance import read_importance, write_fold_importance
from models.training.trainer import training_view
from tests.models.planted import PLAN, TARGET, fast, plant

KINDS = sorted(row.name for row in ROWS if not row.neural)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return plant(eras=90, noise=1.5).store(tmp_path_factory.mktemp("importance") / "store")


@pytest.fixture(scope="module")
def fitted(store):
    models = {}
    x, y = training_view(store, TARGET, store.eras[:40])
    for kind in KINDS:
        models[kind] = make_model(kind, fast(kind))
        models[kind].fit(x, y, plan=PLAN, seed=1)
    return models


def write(store, model, out, **over):
    arguments = {"rows": 400, "seed": 3, "plan": Plan(threads=1), **over}
    out.mkdir(exist_ok=True)
    return write_fold_importance(out, 0, model, store, TARGET, store.eras[48:], **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planted_matters_most_by_every_measure(store, fitted, tmp_path, kind):
    write(store, fitted[kind], tmp_path)
    found = read_importance(tmp_path)
    assert list(found) == ["gain", "shap", "permutation"]
    for measure, drift in found.items():
        assert drift.blocks == ("0027-0052", "0053-0078", "0079-0104")
        mean = dict(zip(drift.features, np.nanmean(drift.values, axis=1), strict=True))
        others = [mean[name] for name in drift.features[4:]]
        assert min(mean["feature_00"], mean["feature_01"]) > max(others), measure
        if measure != "permutation":
            np.testing.assert_allclose(np.nansum(drift.values, axis=0), 1)


class Linear:
    """A model that ranks no features, as a network does."""

    kind = "mlp"

    def predict(self, x, *, plan=None):
        return x[:, 0].astype(float) - x[:, 1]


def test_a_model_without_a_ranking_is_measured_by_permutation(store, tmp_path):
    write(store, Linear(), tmp_path)
    found = read_importance(tmp_path)
    assert list(found) == ["permutation"]
    best = found["permutation"].strongest(2).features
    assert set(best) == {"feature_00", "feature_01"}


@pytest.mark.parametrize("kind", KINDS)
def test_figures_belong_to_the_columns_that_a_model_uses(store, tmp_path, kind):
    columns = [1, 3, 7, 9]
    model = make_model(kind, fast(kind), columns=columns)
    x, y = training_view(store, TARGET, store.eras[:40])
    model.fit(x, y, plan=PLAN, seed=1)
    frame = pl.read_parquet(write(store, model, tmp_path))
    assert frame["feature"].unique(maintain_order=True).to_list() == [f"feature_{place:02d}" for place in columns]
    assert read_importance(tmp_path)["shap"].strongest(1).features == ("feature_01",)


def test_the_same_seed_gives_the_same_bytes_and_threads_do_not_matter(store, fitted, tmp_path):
    first = write(store, fitted["lightgbm"], tmp_path / "a").read_bytes()
    assert write(store, fitted["lightgbm"], tmp_path / "b", plan=Plan(threads=2)).read_bytes() == first
    assert write(store, fitted["lightgbm"], tmp_path / "c", seed=4).read_bytes() != first


def test_a_large_model_gets_fewer_rows_and_then_no_shap(store, fitted, tmp_path, monkeypatch):
    taken = []
    ours = LightGBMModel.contributions
    monkeypatch.setattr(
        LightGBMModel, "contributions", lambda model, *given: taken.append(len(given[0])) or ours(model, *given)
    )
    steps = 30 * 31 * 25 * 3  # trees, leaves, depth squared, blocks
    monkeypatch.setattr(importance, "MOST_STEPS", 20 * steps)
    write(store, fitted["lightgbm"], tmp_path)
    assert taken == [20, 20, 20]
    monkeypatch.setattr(importance, "MOST_STEPS", 10 * steps)
    write(store, fitted["lightgbm"], tmp_path)
    assert taken == [20, 20, 20]
    assert list(read_importance(tmp_path)) == ["gain", "permutation"]


def test_nothing_is_written_when_nothing_is_asked_or_known(store, fitted, tmp_path):
    assert write(store, fitted["lightgbm"], tmp_path, rows=0) is None
    assert read_importance(tmp_path) == {}
    (tmp_path / "importance-0.parquet").write_bytes(b"no parquet")
    with pytest.raises(OutOfFoldFileError, match="cannot be read"):
        read_importance(tmp_path)
