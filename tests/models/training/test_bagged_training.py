"""A member that is a bag, trained as a stage: one file of predictions, one model, one signature."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.data.memberbag import Bag, FeatureSet, FitRecipe
from eraflow.erastore.erareader import EraStore
from eraflow.machine.job import decided
from eraflow.machine.plan import Plan
from models.base.predictions import read_out_of_fold
from models.base.wholeeras import predict_in_eras
from models.kinds import load_model
from models.prediction.predictor import whole_eras_in
from models.training.job import ImportanceSample, KeptBins
from models.training.selectedfeatures import SelectionFileError, columns_in
from models.training.train import train_model
from models.training.trainer import Trainer
from tests.models.conftest import member, training
from tests.models.planted import PLAN, TARGET, fast, plant

BAG = Bag(
    (FitRecipe(fast("lightgbm")), FitRecipe({**fast("lightgbm"), "n_estimators": 15}, 2)),
    (FeatureSet("run"), FeatureSet("some", tuple(f"feature_{at:02d}" for at in (0, 1, 2, 3, 9)))),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return plant(eras=44, rows=60).store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def stage(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("stage") / "train-bag"
    sample, bins = ImportanceSample(TARGET, 60), KeptBins(out.parent / "bins", "key", 100)
    asked = training(store, out, member("lightgbm"), importance=sample, bins=bins, bag=BAG)
    return out, train_model(**asked)


def test_a_stage_of_a_bag_leaves_what_other_stages_leave(store, stage):
    out, told = stage
    assert told["bag"] == "bag of 6 fits over run and some"
    assert told["learns"] == f"{TARGET} as a bag of 6 fits over run and some"
    oof = read_out_of_fold(out / "oof.parquet")
    assert told["folds"] == 2
    assert (oof.values > 0).all()
    assert (oof.values < 1).all()
    assert np.corrcoef(oof.values, store.column(TARGET, oof.eras))[0, 1] > 0.2
    assert whole_eras_in(out / "model")
    live = predict_in_eras(load_model(out / "model"), store.matrix(store.eras[-3:]), store.offsets(store.eras[-3:]))
    assert live.shape == (180,)
    table = pl.read_parquet(out / "importance-0.parquet")
    assert table.filter(pl.col("gain") > 0)["feature"].n_unique() >= 4
    assert np.isfinite(table["shap"].to_numpy()).all()
    assert not (out / "checkpoints").exists()
    # Bins of all eras are kept for the next fit, not those of every second.
    assert len(list((out.parent / "bins").glob("*.bins"))) == 2 * 3


def test_the_same_stage_again_gives_the_same_bytes(store, stage, tmp_path):
    out, _ = stage
    train_model(**training(store, tmp_path / "again", member("lightgbm"), plan=Plan(threads=2), bag=BAG))
    for name in ("oof.parquet", "model/model.json", "model/part-4/model.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def trainer(store, out, bag, **over):
    job = training(store, out, member("lightgbm"), bag=bag, **over)["job"]
    return job, Trainer(out, EraStore.open(job.store), job.member, 7, PLAN)


def test_whatever_a_bag_is_made_of_is_in_its_signatures(store, tmp_path):
    others = [
        None,
        replace(BAG, recipes=BAG.recipes[:1]),
        replace(BAG, recipes=(BAG.recipes[0], replace(BAG.recipes[1], era_step=3))),
        replace(BAG, recipes=(BAG.recipes[0], FitRecipe({**fast("lightgbm"), "n_estimators": 16}, 2))),
        replace(BAG, sets=BAG.sets[:1]),
        replace(BAG, sets=BAG.sets[::-1]),
        replace(BAG, sets=(BAG.sets[0], FeatureSet("some", ("feature_00", "feature_01")))),
    ]
    told = [trainer(store, tmp_path, bag) for bag in (BAG, *others)]
    stages = {json.dumps(decided(job), sort_keys=True, default=str) for job, _ in told}
    folds = {one.fold_signature(0) for _, one in told}
    fits = {one.checkpoints(store.eras[:20], 0) for _, one in told}
    assert len(stages) == len(folds) == len(fits) == len(told)


def test_a_member_that_is_no_bag_keeps_its_signature(store, tmp_path):
    job, plain = trainer(store, tmp_path, None)
    assert "bag" not in decided(job)["member"]
    assert "bag" not in plain.parts(0)


def test_a_bag_obeys_a_selection(store, tmp_path):
    chosen = ("feature_00", "feature_02", "feature_07")
    _, one = trainer(store, Path(tmp_path), BAG, features=(chosen,) * 3)
    assert [part.columns for part in one.bag_parts(0)] == [(0, 2, 7)] * 3 + [(0, 2)] * 3
    with pytest.raises(SelectionFileError, match="no feature of a set"):
        trainer(store, Path(tmp_path), BAG, features=(("feature_07",),) * 3)[1].bag_parts(0)


def test_columns_of_a_code_belong_to_every_set():
    features = ("a", "b", "code_1")
    assert columns_in(("b",), ("code_1",), None, features) == (1, 2)
    assert columns_in(("b",), ("code_1",), (1, 2), features) == (1, 2)
    assert columns_in(("a", "b"), ("code_1",), None, features) is None
    assert columns_in(None, ("code_1",), (1, 2), features) == (1, 2)
