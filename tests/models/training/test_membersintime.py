"""Which members a run begins with: what would not end in time is left out with the reason, unless it was named."""

import json

import numpy as np
import polars as pl
import pytest

from eraflow.kinds import KINDS
from eraflow.machine.resources import Gpu, NoGpuError, Resources
from eraflow.settings.models import ModelSettings
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings
from models.base import libraries
from models.base.libraries import MissingLibraryError
from models.training.datasize import DataSize, data_size
from models.training.hours import GPU_CORES, STAGE_SECONDS, Means, member_hours, times_largest_fit, window_shares
from models.training.membersintime import members_in_time

SIX = Resources(6, 16_000, 12_000, 100_000)
WITH_GPU = Resources(6, 16_000, 12_000, 100_000, (Gpu("RTX 3060", 12_288, 11_500),))
TWO = Resources(2, 16_000, 12_000, 100_000)
FULL = DataSize(6_880_000, 780)
START = STAGE_SECONDS / 3600


def names(settings):
    return [model.name for model in settings.models]


def all_kinds(*assignments, profile="laptop"):
    return settings_from(profile, {}, ["models=all", *assignments])


def hours(kind, *, means, params=None, size=FULL, settings=None):
    settings = settings or RunSettings()
    return member_hours(ModelSettings(kind=kind, params=params or {}), size, settings, means)


@pytest.mark.parametrize(("kind", "params"), [("lightgbm", {"n_estimators": 900}), ("mlp", {"updates": 300})])
def test_a_bag_takes_as_long_as_its_fits_a_network_is_not_quicker_on_fewer_rows(kind, params):
    def of(recipes, sets=()):
        model = ModelSettings(kind=kind, params=params, bag={"recipes": recipes, "feature_sets": sets})
        return member_hours(model, FULL, RunSettings(), Means(2)) - START

    one = hours(kind, means=Means(2), params=params) - START
    assert of([{}]) == pytest.approx(one)
    assert of([{}], ["run", "all"]) == pytest.approx(2 * one)
    assert of([{}], ["small"]) < one
    eras = of([{"era_step": 4}]) / one
    assert 0.95 < eras < 1.3 if kind == "lightgbm" else 3.5 < eras <= 4.001


def test_what_is_told_before_the_start_says_of_how_many_fits_a_bag_is():
    told = members_in_time(settings_from("laptop", {}, ["models=lightgbm,xgboost:single"]), SIX).reckoned
    assert "lightgbm as a bag of 9 fits " in told
    assert "xgboost-single " in told
    assert "its largest fit" not in told


@pytest.mark.parametrize("profile", ["workstation", "sandbox"])
def test_what_a_second_set_of_features_costs_is_told_before_the_start(profile):
    asked = ["models=lightgbm:bag", "models.lightgbm-bag.bag.feature_sets=run,medium"]
    chosen = members_in_time(settings_from(profile, {}, asked), SIX)
    assert "lightgbm-bag, a bag of 18 fits over run and medium, takes " in chosen.reckoned
    one, two = (
        times_largest_fit(model, DataSize(338_000, 188), settings_from(profile, {}), Means(2))
        for model in settings_from("workstation", {}, ["models=lightgbm,lightgbm:bag", asked[1]]).models
    )
    assert 1 < one < 1.6
    assert two == pytest.approx(2 * one)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost"])
def test_the_usual_bag_takes_at_most_half_as_long_again_as_its_learner_alone(kind):
    bag, plain = (member_hours(settings_from("laptop", {}, [f"models={kind}{mark}"]).models[0], FULL, RunSettings(),
                               Means(2)) for mark in ("", ":single"))  # fmt: skip
    assert bag < 1.5 * plain


def test_the_usual_bags_end_in_time_with_the_networks_on_two_cores_too():
    chosen = members_in_time(settings_from("laptop", {}), TWO)
    assert (chosen.left_out, chosen.warnings) == ({}, ())


def test_laptop_names_boosters_and_networks_and_all_of_them_end_in_its_hours_on_six_cores():
    chosen = members_in_time(settings_from("laptop", {}), SIX)
    assert names(chosen.settings) == ["lightgbm", "xgboost", "catboost", "mlp", "autoencoder"]
    assert chosen.left_out == {}
    assert sum(chosen.hours.values()) < 12
    assert chosen.warnings == ()
    assert "6 cores and no GPU" in chosen.reckoned


def test_what_would_not_end_is_left_out_with_the_figures_and_what_to_do():
    chosen = members_in_time(all_kinds("machine.training_hours=9.5"), TWO)
    gone = set(chosen.left_out)
    assert gone
    assert gone | set(names(chosen.settings)) == set(KINDS)
    assert all(KINDS[name].extra for name in gone)
    for name, error in chosen.left_out.items():
        assert error.code == "training_too_long"
        assert "6,880,000 rows x 780 features with 2 cores and no GPU" in error.problem
        wanted = float(error.remedy.split("at least ")[1].split(",")[0])
        again = members_in_time(all_kinds(f"machine.training_hours={wanted}"), TWO)
        assert name in names(again.settings)
        assert any(name in words and error.problem in words for words in chosen.warnings)


def test_of_the_optional_ones_the_first_that_end_in_time_stay():
    settings = all_kinds()
    every = members_in_time(all_kinds("machine.training_hours=null"), SIX).hours
    limit = sum(every.values()) - 0.5 * min(every["gatv2"], every["gin"])
    chosen = members_in_time(all_kinds(f"machine.training_hours={limit}"), SIX)
    assert chosen.left_out.keys() == {"gin"}
    assert names(chosen.settings) == [name for name in names(settings) if name != "gin"]
    assert sum(chosen.hours.values()) <= limit


def test_a_gpu_keeps_what_two_cores_leave_out():
    limit = 1.01 * sum(members_in_time(all_kinds("machine.training_hours=null"), WITH_GPU).hours.values())
    small = all_kinds(f"machine.training_hours={limit}")
    without = members_in_time(small, SIX)
    with_gpu = members_in_time(small, WITH_GPU)
    assert with_gpu.left_out == {}
    assert without.left_out
    assert members_in_time(
        all_kinds(f"machine.training_hours={limit}", "machine.device=cpu"), WITH_GPU
    ).left_out.keys() == (without.left_out.keys())


def test_who_names_a_member_gets_it_and_is_warned():
    named = settings_from("laptop", {}, ["models=lightgbm,gatv2", "machine.training_hours=0.1"])
    chosen = members_in_time(named, TWO)
    assert names(chosen.settings) == ["lightgbm", "gatv2"]
    assert chosen.left_out == {}
    assert "more than machine.training_hours" in chosen.warnings[-1]
    assert "leave some out" in chosen.warnings[-1]


def test_without_a_limit_nothing_is_left_out_and_one_member_always_stays():
    assert members_in_time(all_kinds("machine.training_hours=null"), TWO).left_out == {}
    only = RunSettings(models=[{"kind": "gatv2", "optional": True}], machine={"training_hours": 0.01})
    assert names(members_in_time(only, TWO).settings) == ["gatv2"]


def test_a_library_that_is_missing_is_told_of_beside_it(monkeypatch):
    found = libraries.find_spec
    monkeypatch.setattr(libraries, "find_spec", lambda name: None if name == "torch" else found(name))
    chosen = members_in_time(settings_from("laptop", {}), SIX)
    assert names(chosen.settings) == ["lightgbm", "xgboost", "catboost"]
    assert {error.code for error in chosen.left_out.values()} == {"missing_library"}
    assert chosen.left_out.keys() == {"mlp", "autoencoder"}
    assert sum("is left out" in words for words in chosen.warnings) == 2
    with pytest.raises(MissingLibraryError):
        members_in_time(settings_from("laptop", {}, ["models=lightgbm,mlp"]), SIX)


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error():
    with pytest.raises(NoGpuError):
        members_in_time(settings_from("laptop", {}, ["machine.device=cuda"]), SIX)


def test_the_week_of_the_sandbox_is_short_and_nothing_is_said_of_it():
    chosen = members_in_time(settings_from("sandbox", {}), TWO)
    assert (chosen.left_out, chosen.warnings, chosen.reckoned) == ({}, (), "")


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if row.neural])
def test_hours_grow_with_everything_that_costs(kind):
    means = Means(2)
    usual = hours(kind, means=means)
    for more in (
        {"params": {"updates": 800}},
        {"params": {"seeds": 3}},
        {"params": {"validation_share": 0.15, "check_every": 5}},
        {"size": DataSize(FULL.rows, 1_560)},
        {"size": DataSize(2 * FULL.rows, FULL.columns)},
        {"settings": RunSettings(windows={"folds": 9})},
    ):
        assert hours(kind, means=means, **more) > usual, more
    assert hours(kind, means=Means(6)) < usual
    assert hours(kind, means=Means(2, gpu=True)) < usual
    assert hours(kind, means=means, params={"updates": "many"}) == usual  # named where the model is made


def test_a_larger_network_takes_as_many_times_longer_as_it_has_weights():
    small, large = (hours("mlp", means=Means(1), params={"hidden": sizes}) for sizes in ([256, 256], [1024, 1024]))
    assert 4 < large / small < 8


def test_hours_of_boosters_grow_with_trees_and_rows_and_fall_with_the_stride():
    usual = hours("lightgbm", means=Means(2))
    assert hours("lightgbm", means=Means(2), params={"n_estimators": 4_000}) == pytest.approx(2 * usual, rel=0.01)
    assert hours("lightgbm", means=Means(2), settings=RunSettings(data={"era_stride": 4})) < usual


def test_cores_share_what_there_is_to_share():
    assert Means(4).seconds(36, 1) == 36
    assert Means(4).seconds(36, 4) == pytest.approx(10)
    assert Means(2).seconds(36, 40) == pytest.approx(20)
    assert GPU_CORES > 1


def test_windows_learn_from_more_and_more():
    shares = window_shares(RunSettings().windows)
    assert shares == pytest.approx([0.4, 0.52, 0.64, 0.76, 0.88, 1.0])
    assert window_shares(RunSettings(windows={"kind": "sliding", "train_eras": 100, "folds": 2}).windows) == [0.4] * 3


def test_the_size_is_known_before_anything_is_downloaded(tmp_path):
    assert data_size(settings_from("laptop", {})) == FULL
    assert data_size(settings_from("laptop", {}, ["data.features=small+one_more-feature_a"])).columns == 43
    assert data_size(settings_from("workstation", {})).columns == 3_555
    sandbox = settings_from("sandbox", {})
    expected = (sandbox.sandbox.train_eras + sandbox.sandbox.validation_eras) * sandbox.sandbox.rows_per_era
    assert data_size(sandbox) == DataSize(expected, sandbox.sandbox.features)
    assert data_size(settings_from("sandbox", {"source": {"url": "http://127.0.0.1:9"}})) is None
    folder = {"source": {"kind": "sandbox", "data_dir": str(tmp_path)}, "data": {"features": "few"}}
    assert data_size(settings_from("sandbox", folder)) is None  # nothing is in it yet
    for name, rows in (("train", 7), ("validation", 5), ("live", 2)):
        frame = pl.DataFrame({"id": list(map(str, range(rows))), "a": np.zeros(rows, np.int8)})
        frame.write_parquet(tmp_path / f"{name}.parquet")
    catalogue = {"feature_sets": {"few": ["a"]}, "feature_stats": {}, "targets": ["target_x_20"]}
    (tmp_path / "features.json").write_text(json.dumps(catalogue))
    assert data_size(settings_from("sandbox", folder)) == DataSize(12, 1)
