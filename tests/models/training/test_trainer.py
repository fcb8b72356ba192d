"""Members that learn something of their own: another target, what a benchmark leaves over, chosen features."""

import json

import numpy as np
import polars as pl
import pytest

import models.training.train as stage
from eraflow.disk.digest import file_sha256
from eraflow.erastore.erawriter import write_era_store
from eraflow.scoring.metrics import era_contribution, era_correlation_with
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.residual import benchmark_residual
from eraflow.scoring.statistics import ewc_interval
from models.base.predictions import read_out_of_fold
from models.training.folds import LeakingWindowError
from models.training.job import ImportanceSample, KeptBins
from models.training.selectedfeatures import SelectionFileError, read_selection
from models.training.train import train_model
from models.training.trainer import training_view
from tests.models.conftest import member, training
from tests.models.planted import TARGET, plant, windows_of

OTHER = "target_other_60"
BENCHMARK = "v1_lgbm_ender20"
OVERLAP_WEEKS = 5  # of a 20-day target


def write_store(path, planted, seed=1, unknown=()):
    """The planted data with a second target and a benchmark that sees the linear part of the truth, from era 6 on."""
    rng = np.random.default_rng(seed)
    wide = planted.x.astype(float) - 2
    seen = wide[:, 0] - wide[:, 1] + 0.3 * rng.normal(size=len(planted.y))
    frame = planted.frame().with_columns(
        pl.Series(OTHER, np.round(4 * rng.uniform(size=len(planted.y))) / 4, dtype=pl.Float32)
    )
    hidden = pl.col("era").is_in([f"{era:04d}" for era in unknown])
    frame = frame.with_columns(pl.when(hidden).then(None).otherwise(pl.col(OTHER)).alias(OTHER))
    path.mkdir()
    frame.write_parquet(path / "train.parquet")
    beside = frame.select("id", pl.Series(BENCHMARK, seen, dtype=pl.Float64)).filter(frame["era"] > "0005")
    beside.write_parquet(path / "benchmark.parquet")
    return write_era_store(
        [path / "train.parquet"],
        planted.features,
        [TARGET, OTHER],
        path / "store",
        joined={BENCHMARK: (path / "benchmark.parquet",)},
    )


@pytest.fixture(scope="module")
def planted():
    return plant(noise=1.5)


@pytest.fixture(scope="module")
def store(planted, tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("members") / "data", planted)


def covered(store, **over):
    """Windows over the eras that the benchmark covers, as fields of the member."""
    eras = store.eras[5:]
    return {"windows": windows_of(eras, first=25, folds=2), "final_eras": eras, **over}


def judged(store, folder):
    oof = read_out_of_fold(folder / "oof.parquet")
    return oof, store.column(TARGET, oof.eras), store.column(BENCHMARK, oof.eras)


def trained(store, out, selection=None, **over):
    """`selection`: the file, of which each window has its features."""
    fields = covered(store, **over)
    chosen = None if selection is None else read_selection(selection, fields["windows"])
    metrics = train_model(**training(store, out, member("lightgbm"), **fields, features=chosen))
    return metrics, *judged(store, out)


def test_the_residual_is_taken_era_by_era_where_target_and_benchmark_are_known(store):
    eras = store.eras[1:40:3]
    x, y = training_view(store, TARGET, eras, BENCHMARK)
    span = store.eras[1:38]
    whole = benchmark_residual(
        store.column(TARGET, span), store.column(BENCHMARK, span), EraGroups(store.offsets(span))
    )
    chosen = np.isin(store.era_codes(span), [store.eras.index(era) for era in eras])
    np.testing.assert_array_equal(y[chosen], whole[chosen].astype(np.float32))
    assert np.isnan(y[~chosen]).all()
    assert np.isnan(y[store.era_codes(span) < 5]).all()  # the benchmark does not cover them
    assert np.shares_memory(x, store.matrix(span))


def test_a_residual_member_finds_what_the_benchmark_leaves_over(store, tmp_path):
    metrics, oof, y, benchmark = trained(store, tmp_path / "residual", benchmark=BENCHMARK)
    _, plain, _, _ = trained(store, tmp_path / "plain")
    assert metrics["learns"] == f"{TARGET} beyond {BENCHMARK}"
    assert metrics["purge_weeks"] == 8
    assert oof.eras == plain.eras
    alike = [era_correlation_with(each.values, benchmark, each.groups).mean() for each in (oof, plain)]
    assert abs(alike[0]) < 0.2 < 0.5 < alike[1]
    bmc = era_contribution(oof.values, benchmark, y, oof.groups)
    assert ewc_interval(bmc, OVERLAP_WEEKS, 0.95).low > 0


def test_a_residual_of_shuffled_targets_teaches_nothing(planted, tmp_path):
    store = write_store(tmp_path / "data", planted.shuffled_within_eras(seed=11))
    _, oof, y, benchmark = trained(store, tmp_path / "out", benchmark=BENCHMARK)
    interval = ewc_interval(era_contribution(oof.values, benchmark, y, oof.groups), OVERLAP_WEEKS, 0.95)
    assert interval.low < 0  # it may well be worse than nothing by chance
    assert abs(interval.mean) < 0.05


def test_a_purge_below_that_of_the_members_own_horizon_is_refused(store, tmp_path):
    with pytest.raises(LeakingWindowError, match="target_other_60 needs at least 16"):
        trained(store, tmp_path, target=OTHER)
    assert list(tmp_path.iterdir()) == []


def chosen(path, *windows, live):
    """A selection file of the given features (numbers)."""
    names = [[f"feature_{number:02d}" for number in each] for each in (*windows, live)]
    content = {
        "method": "association",
        "windows": [{"index": index, "features": features} for index, features in enumerate(names[:-1])],
        "live": names[-1],
    }
    path.write_text(json.dumps(content))
    return path


def test_each_fit_uses_its_own_features_and_no_other(store, planted, tmp_path):
    """Other values in the columns that a window does not use change nothing in its fold."""
    selection = chosen(tmp_path / "selection.json", [0, 1, 5], [0, 2, 3], live=range(12))
    unused = [2, 3, 4, 6, 7, 8, 9, 10, 11]
    x = planted.x.copy()
    x[:, unused] = x[::-1, unused]
    other = write_store(tmp_path / "data", type(planted)(x, planted.y, planted.era))
    for name, data in (("a", store), ("b", other)):
        metrics, *_ = trained(data, tmp_path / name, selection=selection)
        assert metrics["features"] == [3, 3, 12]
    first, second = ([read_out_of_fold(tmp_path / n / f"fold-{i}.parquet").values for i in (0, 1)] for n in "ab")
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[1], second[1])


def test_a_fold_is_kept_when_only_the_features_of_others_change(store, tmp_path):
    for second in ([2, 3], [2, 4]):
        selection = chosen(tmp_path / "selection.json", [0, 1, 5], second, live=[0, 1])
        metrics, *_ = trained(store, tmp_path / "out", selection=selection)
    assert metrics["folds_reused"] == 1


@pytest.mark.parametrize("fault", ["absent", "lacks_window", "unknown", "empty", "no_json"])
def test_a_selection_that_does_not_fit_is_named(store, tmp_path, fault):
    path = tmp_path / "selection.json"
    windows = {"lacks_window": [[0, 1]], "unknown": [[0, 99], [1]], "empty": [[0], []]}.get(fault, [[0], [1]])
    if fault != "absent":
        chosen(path, *windows, live=[0])
    if fault == "no_json":
        path.write_text("{")
    with pytest.raises(SelectionFileError):
        trained(store, tmp_path / "out", selection=path)


def test_targets_whose_known_rows_agree_share_one_file_of_bins(planted, tmp_path):
    """And that of rows of which some are not known is another one. Kept bins change no byte of the result."""
    store = write_store(tmp_path / "data", planted, unknown=[20])
    bins = KeptBins(tmp_path / "bins", "data", 100)

    def kept(out, target, data=store, **over):
        windows = windows_of(store.eras, first=40, folds=1, purge=16)
        train_model(**training(data, tmp_path / out, member("lightgbm"), windows=windows, target=target, **over))
        return sorted(path.name for path in (tmp_path / "bins").glob("*.bins"))

    once = kept("first", TARGET, bins=bins)
    shuffled = planted.shuffled_within_eras(seed=3)
    same = write_store(tmp_path / "same", shuffled, unknown=[20])  # the same x, another y, all of it known
    assert file_sha256(same.path / "matrix.npy") == file_sha256(store.path / "matrix.npy")
    assert kept("second", TARGET, same, bins=bins) == once
    assert len(kept("third", OTHER, bins=bins)) == 2 * len(once)
    kept("plain", TARGET)
    for name in ("oof.parquet", "model/model.txt"):
        assert file_sha256(tmp_path / "first" / name) == file_sha256(tmp_path / "plain" / name)
    oofs = [read_out_of_fold(tmp_path / name / stage.OOF).values for name in ("first", "second")]
    assert not np.array_equal(*oofs)


def test_an_importance_that_cannot_be_measured_costs_the_page_and_not_the_fold(store, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ValueError("this library ranks nothing")

    monkeypatch.setattr("models.training.trainer.write_fold_importance", fail)
    wanted = ImportanceSample(TARGET, 50)
    figures = train_model(**training(store, tmp_path / "stage", member("lightgbm"), importance=wanted))
    assert figures["folds"] == 2
    assert (tmp_path / "stage" / "oof.parquet").exists()
    assert not list((tmp_path / "stage").glob("importance-*"))


def test_a_network_learns_further_targets_of_the_store_within_their_longest_purge(planted, tmp_path):
    pytest.importorskip("torch")
    hidden = write_store(tmp_path / "data", planted, unknown=range(12, 16))
    windows = windows_of(hidden.eras, first=40, folds=1, purge=16)
    fields = {"windows": windows, "final_eras": hidden.eras[:30]}
    model = {"kind": "mlp", "name": "mlp", "params": {"hidden": [4], "updates": 4}}
    train_model(**training(hidden, tmp_path / "alone", model, **fields))
    told = train_model(**training(hidden, tmp_path / "beside", model, **fields, also={OTHER: 0.5}))
    assert told["learns"] == f"{TARGET} and 0.5 x {OTHER}"
    alone, beside = (read_out_of_fold(tmp_path / name / "oof.parquet") for name in ("alone", "beside"))
    assert list(alone.ids) == list(beside.ids)
    assert not np.array_equal(alone.values, beside.values)
    saved = (json.loads((tmp_path / name / "model" / "model.json").read_text()) for name in ("alone", "beside"))
    assert len({json.dumps(one["arrays"]) for one in saved}) == 1
    shorter = {**fields, "windows": windows_of(hidden.eras, first=40, folds=1)}
    with pytest.raises(LeakingWindowError, match=f"{OTHER} needs at least 16"):
        train_model(**training(hidden, tmp_path / "shorter", model, **shorter, also={OTHER: 0.5}))
