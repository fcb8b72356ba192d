"""Targets shuffled within eras carry no information: whatever still scores is a leak, and the gate must not pass it."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.data.catalog import read_catalog
from eraflow.data.eras import walk_forward
from eraflow.data.membereras import Member
from eraflow.erastore.erawriter import write_era_store
from eraflow.machine.plan import Plan
from eraflow.sandbox.generate import generate
from eraflow.scoring.backtest import BacktestJob, backtest
from eraflow.settings.windows import WindowSettings
from flows.weekly import weekly
from models.training.job import TrainJob
from models.training.train import train_model
from tests.weeks import tiny

MARKET = Path(os.environ.get("ERAFLOW_MARKET", Path(__file__).parents[3] / "shared" / "market"))


def shuffle_targets(frame, seed):
    """Each target permuted among the rows of its era."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(index) for index in era_rows(frame)])
    targets = [name for name in frame.columns if name.startswith("target")]
    return frame.with_columns(frame.select(targets)[order])


def era_rows(frame):
    eras = frame["era"].to_numpy()
    return np.split(np.arange(len(eras)), np.flatnonzero(eras[1:] != eras[:-1]) + 1)


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_a_week_on_shuffled_targets_is_held(tmp_path):
    settings = tiny(
        tmp_path / "home",
        run_dir=str(tmp_path / "run"),
        source={"data_dir": str(tmp_path / "data")},
        gate={"corr_bound": 0.0},
    )
    folder = generate(tmp_path / "data", settings.sandbox)
    for seed, name in enumerate(("train.parquet", "validation.parquet")):
        shuffle_targets(pl.read_parquet(folder / name), seed).write_parquet(folder / name)
    state = weekly(settings, return_state=True)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    corr = record["scores"]["blend"]["corr"]
    assert state.name == "Held"
    assert corr["low"] < 0 < corr["high"]
    assert abs(corr["mean"]) < 0.02


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_a_week_with_a_feature_that_holds_the_target_in_part_of_the_rows_is_held_and_names_it(tmp_path):
    settings = tiny(
        tmp_path / "home", run_dir=str(tmp_path / "run"), source={"data_dir": str(tmp_path / "data")}, gate={}
    )
    folder = generate(tmp_path / "data", settings.sandbox)
    feature = read_catalog(folder / "features.json").features("all")[7]
    rng = np.random.default_rng(11)
    for name in ("train.parquet", "validation.parquet"):
        frame = pl.read_parquet(folder / name)
        answer = frame["target_ender_20"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        rows = (rng.random(len(answer)) < 0.3) & np.isfinite(answer)
        codes = np.where(rows, np.rint(np.nan_to_num(answer) * 4), frame[feature].to_numpy())
        frame.with_columns(pl.Series(feature, codes.astype(np.int8))).write_parquet(folder / name)
    state = weekly(settings, return_state=True)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert state.name == "Held"
    [found] = [rule for rule in record["verdict"]["rules"] if rule["name"] == "feature_copy"]
    assert not found["passed"]
    assert f"one feature gives the answer away: {feature} and target_ender_20" in found["text"]
    assert any("gate.max_copy=null" in sentence for sentence in record["may_be_done"])


@pytest.mark.skipif(not MARKET.is_dir(), reason="the folder of real equities is not beside this checkout")
@pytest.mark.parametrize("shuffled", [False, True])
def test_on_real_equities_the_score_vanishes_with_the_order_of_the_targets(shuffled, tmp_path):
    target, eras = "target_a_20", [f"{number:04d}" for number in range(100, 700)]
    features = list(read_catalog(MARKET / "features.json").features("small"))
    paths = []
    for seed, name in enumerate(("train.parquet", "validation.parquet")):
        frame = pl.read_parquet(MARKET / name, columns=["id", "era", "data_type", *features, target])
        frame = frame.filter(pl.col("era").is_in(eras))
        (shuffle_targets(frame, seed) if shuffled else frame).write_parquet(tmp_path / name)
        paths.append(tmp_path / name)
    store = write_era_store(paths, features, [target], tmp_path / "store")
    windows = walk_forward(store.eras, 20, WindowSettings(folds=1, first_test_fraction=0.75))
    plan, params = Plan(threads=1), {"n_estimators": 100, "learning_rate": 0.05}
    member = Member("lightgbm", "lightgbm", params, target, tuple(windows), store.eras)
    (tmp_path / "train").mkdir()
    train_model(TrainJob(member=member, seed=3, store=store.path), tmp_path / "train", plan)
    (tmp_path / "scores").mkdir()
    judged = BacktestJob(
        store=store.path,
        predictions={"lightgbm": tmp_path / "train" / "oof.parquet"},
        target=target,
        horizon_days=20,
        confidence=0.95,
    )
    backtest(judged, tmp_path / "scores", plan)
    corr = json.loads((tmp_path / "scores" / "scores.json").read_text())["lightgbm"]["summary"]["corr"]
    if shuffled:
        assert corr["low"] < 0 < corr["high"]
        assert abs(corr["mean"]) < 0.01
    else:
        assert corr["mean"] > 0.02
