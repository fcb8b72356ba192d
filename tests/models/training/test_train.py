import json
import os
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import models.training.train as stage
from eraflow.disk.digest import file_sha256
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.statistics import ewc_interval
from models.base.predictions import read_out_of_fold
from models.base.protocol import ConstantPredictionsError, ModelSettingsError
from models.training.folds import LeakingWindowError
from models.training.train import train_model
from models.training.trainer import training_view
from tests.models.conftest import member, training
from tests.models.planted import PLAN, TARGET, windows_of

OVERLAP_WEEKS = 5  # of a 20-day target


def per_era_corr(store, path):
    oof = read_out_of_fold(path)
    return era_corr(oof.values, store.column(TARGET, oof.eras), oof.groups)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost"])
def test_every_judged_era_is_predicted_in_the_order_of_the_store(week, kind):
    frame = pl.read_parquet(f"{week.folders[kind]}/oof.parquet")
    eras = list(week.store.eras[30:])
    assert frame.schema == {"id": pl.String, "era": pl.String, "prediction": pl.Float64}
    assert frame["era"].unique(maintain_order=True).to_list() == eras
    np.testing.assert_array_equal(frame["id"].to_numpy(), week.store.ids(eras))
    metrics = week.metrics[kind]
    assert (metrics["folds"], metrics["rows"], metrics["eras"], metrics["final_eras"]) == (2, 3000, 30, 60)
    json.dumps(metrics)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost"])
def test_a_planted_signal_is_found_out_of_fold(week, kind):
    scores = per_era_corr(week.store, f"{week.folders[kind]}/oof.parquet")
    assert ewc_interval(scores, OVERLAP_WEEKS, 0.95).low > 0.1


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost"])
def test_the_score_vanishes_when_targets_are_shuffled_within_eras(week, kind, tmp_path):
    store = week.planted.shuffled_within_eras(seed=11).store(tmp_path / "store")
    train_model(**training(store, tmp_path / "out", member(kind)))
    interval = ewc_interval(per_era_corr(store, tmp_path / "out" / "oof.parquet"), OVERLAP_WEEKS, 0.95)
    assert interval.low < 0 < interval.high
    assert abs(interval.mean) < 0.05


def test_a_fold_never_sees_the_eras_after_its_purge(week, tmp_path):
    """Other targets in the judged eras, in the purge and after change nothing in the fold's predictions."""
    windows = windows_of(list(week.store.eras), first=30, folds=2)
    y = week.planted.y.copy()
    later = week.planted.era > int(windows[0].train[-1])
    y[later] = 1 - y[later]
    store = type(week.planted)(week.planted.x, y, week.planted.era).store(tmp_path / "store")
    train_model(**training(store, tmp_path / "out", member("lightgbm")))
    first, second = (
        [read_out_of_fold(folder / f"fold-{i}.parquet").values for i in (0, 1)]
        for folder in (tmp_path / "out", stage.Path(week.folders["lightgbm"]))
    )
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[1], second[1])


def test_a_window_that_leaks_is_refused(week, tmp_path):
    windows = windows_of(list(week.store.eras), first=30, folds=2, purge=7)
    windows = tuple(replace(window, purge_weeks=8) for window in windows)
    with pytest.raises(LeakingWindowError, match="window 0"):
        train_model(**training(week.store, tmp_path, member("lightgbm"), windows=windows))


class Killed(Exception):
    pass


def killed_in_fit(monkeypatch, position):
    fit = stage.Trainer.fit

    def dying(self, eras, at, progress, *length):
        if at == position:
            raise Killed
        return fit(self, eras, at, progress, *length)

    monkeypatch.setattr(stage.Trainer, "fit", dying)


@pytest.mark.parametrize(
    ("kind", "position", "kept"), [("lightgbm", 1, 1), ("lightgbm", 2, 2), ("xgboost", 1, 1), ("catboost", 2, 2)]
)
def test_a_killed_stage_goes_on_at_the_fold_where_it_died(week, tmp_path, monkeypatch, kind, position, kept):
    arguments = training(week.store, tmp_path, member(kind))
    with monkeypatch.context() as patch:
        killed_in_fit(patch, position)
        with pytest.raises(Killed):
            train_model(**arguments)
    (tmp_path / "scratch").mkdir(exist_ok=True)  # what a killed fit leaves
    (tmp_path / "scratch" / "bins").write_bytes(b"left behind")
    before = {path.name: os.stat(path).st_mtime_ns for path in tmp_path.glob("fold-*")}
    assert len(before) == 2 * kept
    metrics = train_model(**arguments)
    assert metrics["folds_reused"] == kept
    assert all(os.stat(tmp_path / name).st_mtime_ns == when for name, when in before.items())
    assert file_sha256(tmp_path / "oof.parquet") == file_sha256(f"{week.folders[kind]}/oof.parquet")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("damage", ["settings", "content", "values", "note"])
def test_a_fold_of_other_settings_or_a_damaged_one_is_made_anew(week, tmp_path, damage):
    shutil.copytree(week.folders["lightgbm"], tmp_path / "out")
    arguments = training(week.store, tmp_path / "out", member("lightgbm"))
    if damage == "settings":
        arguments["job"] = replace(arguments["job"], seed=8)
    elif damage == "content":
        for path in (tmp_path / "out").glob("fold-*.parquet"):
            path.write_bytes(path.read_bytes()[:-7])
    elif damage == "values":
        for path in (tmp_path / "out").glob("fold-*.parquet"):
            pl.read_parquet(path).with_columns(-pl.col("prediction")).write_parquet(path)
    else:
        for path in (tmp_path / "out").glob("fold-*.json"):
            path.write_text("{")
    assert train_model(**arguments)["folds_reused"] == 0
    same = file_sha256(tmp_path / "out" / "oof.parquet") == file_sha256(f"{week.folders['lightgbm']}/oof.parquet")
    assert same == (damage != "settings")


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost"])
def test_the_same_work_gives_the_same_bytes(week, tmp_path, kind):
    train_model(**training(week.store, tmp_path, member(kind)))
    for name in ("oof.parquet", "model/model.json", "fold-0.parquet"):
        assert file_sha256(tmp_path / name) == file_sha256(f"{week.folders[kind]}/{name}")


def test_subsampled_eras_are_learnt_from_without_a_copy(week):
    eras = week.store.eras[2:50:4]
    x, y = training_view(week.store, TARGET, eras)
    span = week.store.eras[2:47]
    assert np.shares_memory(x, week.store.matrix(span))
    known = ~np.isnan(y)
    np.testing.assert_array_equal(x[known], week.store.matrix(eras))
    np.testing.assert_array_equal(y[known], week.store.column(TARGET, eras).astype(np.float32))


def test_the_final_model_learns_from_the_resolved_eras_only(week, tmp_path):
    """Whatever the other eras hold, the model for live is the same."""
    some = week.store.eras[:40:2]
    y = week.planted.y.copy()
    y[(week.planted.era % 2 == 0) | (week.planted.era > 40)] = 0.5
    store = type(week.planted)(week.planted.x, y, week.planted.era).store(tmp_path / "store")
    for name, data in (("a", week.store), ("b", store)):
        train_model(**training(data, tmp_path / name, member("lightgbm"), final_eras=some))
    models = [tmp_path / name / "model" / "model.txt" for name in "ab"]
    assert file_sha256(models[0]) == file_sha256(models[1])
    assert file_sha256(tmp_path / "a" / "oof.parquet") != file_sha256(tmp_path / "b" / "oof.parquet")


def test_progress_rises_to_the_end_over_folds_and_trees(week, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(stage, "report", lambda done, total, label: seen.append((done, total, label)))
    train_model(**training(week.store, tmp_path, member("xgboost")))
    done = [each[0] for each in seen]
    assert done == sorted(done)
    assert done[-1] == 100
    labels = " ".join(each[2] for each in seen)
    assert "fold 1 of 2" in labels
    assert "for live" in labels
    assert "30 of 30 trees" in labels


def test_bad_settings_and_useless_models_end_in_named_errors(week, tmp_path):
    with pytest.raises(ModelSettingsError, match="num_leafs"):
        train_model(**training(week.store, tmp_path, member("lightgbm", num_leafs=3)))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConstantPredictionsError, match="lightgbm on eras 0031 to 0045"):
        train_model(**training(week.store, tmp_path, member("lightgbm", min_data_in_leaf=100_000)))


def test_all_threads_of_a_plan_give_one_answer(week, tmp_path):
    for threads in (1, 2):
        plan = replace(PLAN, threads=threads)
        train_model(**training(week.store, tmp_path / str(threads), member("lightgbm"), plan=plan))
    first, second = (read_out_of_fold(tmp_path / name / "oof.parquet").values for name in "12")
    np.testing.assert_array_equal(first, second)


def test_fewer_trees_after_overtime_are_recorded_and_finished_folds_are_kept(week, tmp_path, monkeypatch):
    arguments = training(week.store, tmp_path, member("catboost"))
    with monkeypatch.context() as patch:
        killed_in_fit(patch, 1)
        with pytest.raises(Killed):
            train_model(**arguments)
    metrics = train_model(**{**arguments, "plan": replace(PLAN, work_factor=0.5)})
    assert metrics["folds_reused"] == 1
    assert metrics["fold_plans"] == ["as asked", "work_factor 0.5"]
    assert metrics["final_plan"] == "work_factor 0.5"
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    assert described["trained_with"] == {"rate_factor": 1.0, "work_factor": 0.5, "trees": 15}
