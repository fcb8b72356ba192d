"""How a member's training is asked for: where binned rows are kept, and which parameters it starts from."""

import shutil
from collections import namedtuple
from dataclasses import replace

import pytest

from eraflow.data.memberbag import Bag, FeatureSet, FitRecipe, planned_bag
from eraflow.data.membereras import with_params_of
from eraflow.errors import SettingsError
from eraflow.kinds import KINDS
from eraflow.machine.job import decided
from eraflow.runs.codeversion import code_version, learners_of
from eraflow.settings.models import ModelSettings
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings
from models.kinds import make_model
from models.search.best import keep
from models.search.storage import SearchStorageError
from models.training.job import KeptBins, KeptFolds
from tasks import search as searching
from tasks import train as training
from tasks import tuning
from tasks.needs import train_need
from tasks.run import Run
from tasks.search import key_of
from tasks.train import FREE_SHARE, kept_bins, kept_folds
from tasks.tuning import NotSearchedYetError, search_first, tuned_models
from tests.own_models import write_model_file
from tests.tasks.test_features import contract_of, cut_of, features_of

Usage = namedtuple("Usage", "total used free")


def run_of(home, **settings):
    return Run(RunSettings(profile="sandbox", home=str(home), **settings), home / "run")


@pytest.mark.parametrize(("cache_mb", "free_mb", "kept"), [(500, 4_000, 500), (500, 400, 400 // FREE_SHARE)])
def test_binned_rows_take_what_is_allowed_and_never_most_of_the_disk(tmp_path, monkeypatch, cache_mb, free_mb, kept):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free_mb * 2**20))
    bins = kept_bins(run_of(tmp_path, machine={"cache_mb": cache_mb}), features_of(contract_of()))
    assert bins == KeptBins(tmp_path / "cache" / "bins", "s", kept)


def test_binned_rows_are_not_kept_when_nothing_is_allowed(tmp_path):
    assert kept_bins(run_of(tmp_path, machine={"cache_mb": 0}), features_of(contract_of())) is None


def test_finished_folds_are_kept_in_the_home_by_the_code_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 4_000 * 2**20))
    run = run_of(tmp_path, machine={"folds_mb": 600})
    one, other = (kept_folds(run, ModelSettings(kind=kind)) for kind in ("lightgbm", "xgboost"))
    code = code_version("models.training.folds:make_fold", learners_of(["lightgbm"]))
    assert one == KeptFolds(tmp_path / "cache" / "folds", code, 600)
    assert other.code != code
    assert kept_folds(run_of(tmp_path), ModelSettings()).most_mb == 4_000 // FREE_SHARE


def test_folds_of_a_class_of_ones_own_are_not_kept_nor_any_where_nothing_is_allowed(tmp_path):
    """What such a class reads beside its file is not known."""
    assert kept_folds(run_of(tmp_path), ModelSettings(kind=f"{write_model_file(tmp_path)}:Ridge")) is None
    assert kept_folds(run_of(tmp_path, machine={"folds_mb": 0}), ModelSettings()) is None


def test_bases_are_kept_in_the_home_and_given_to_the_stage(tmp_path, monkeypatch):
    """By the code that trains them; they change no byte, so they are no part of what a stage is known by."""
    asked = []
    monkeypatch.setattr(training, "run_stage", lambda run, work: asked.append(work))
    monkeypatch.setattr(training, "show_importance", lambda *_: None)
    monkeypatch.setattr(training, "show_graph", lambda *_: None)
    models = [ModelSettings(kind="transformer", params=params) for params in ({}, {"adapt": "lora"})]
    features = features_of(contract_of())
    for model in models:
        features = replace(features, members={model.name: cut_of(features, model)})
        training.train.fn(run_of(tmp_path), features, model)
    assert asked[0].job.bases is None
    assert asked[1].job.bases.folder == tmp_path / "cache" / "bases"
    assert asked[1].job.bases.code == code_version("models.networks.loop:train", learners_of(["transformer"]))
    assert "bases" not in decided(asked[1].job)


@pytest.fixture
def said(monkeypatch):
    """What is logged outside a flow."""
    lines = []
    log = namedtuple("Log", "info warning error")(*[lambda *parts: lines.append(parts)] * 3)
    monkeypatch.setattr(tuning, "get_run_logger", lambda: log)
    return lines


def kept_by_a_search(run, model, **params):
    keep(run.settings.home_path, {"kind": model.kind, "key": key_of(run, model), "study": "s", "params": params})


def test_a_tuned_member_starts_from_what_was_searched_and_its_own_params_win(tmp_path, said):
    models = [
        {"kind": "lightgbm", "tuned": True, "params": {"n_estimators": 50}},
        {"kind": "lightgbm", "target": "target_ender_60", "params": {"n_estimators": 50}},
    ]
    run = run_of(tmp_path, models=models)
    kept_by_a_search(run, run.settings.models[0], num_iterations=900, num_leaves=7)
    first, second = tuned_models(run)
    assert first.params == {"n_estimators": 50, "num_leaves": 7}
    assert second == run.settings.models[1]


def test_what_was_searched_for_another_target_or_source_is_not_used(tmp_path):
    run = run_of(tmp_path, models=[{"kind": "lightgbm", "tuned": True, "target": "target_ender_60"}])
    kept_by_a_search(run, run.settings.models[0].model_copy(update={"target": None}), num_leaves=7)
    with pytest.raises(NotSearchedYetError, match=r"target_ender_60 .*eraflow search") as caught:
        tuned_models(run)
    assert caught.value.exit_code == 2


def test_a_run_that_searched_first_uses_what_it_found_and_does_without_where_nothing_was(tmp_path, said):
    models = [{"kind": "lightgbm"}, {"kind": "xgboost"}, {"kind": "catboost"}]
    run = run_of(tmp_path, models=models, search={"before_training": True, "models": ["lightgbm", "xgboost"]})
    kept_by_a_search(run, run.settings.models[0], num_leaves=7)
    assert [model.params for model in tuned_models(run)] == [{"num_leaves": 7}, {}, {}]
    assert len(said) == 2  # one line for what is used, one for what was lost


FOUND = {"num_iterations": 90, "learning_rate": 0.1, "max_depth": 4, "num_leaves": 7, "feature_fraction": 0.5}


def bag_as_trained(run, model):
    """The recipes that a member, cut before the search, has once it starts from what was found."""
    planned = planned_bag(model.bag, model.kind, model.params)
    before = replace(cut_of(features_of(contract_of()), model), bag=planned)
    (tuned,) = tuned_models(run)
    return with_params_of(before, tuned)


@pytest.mark.parametrize("searched_first", [False, True])
def test_what_was_found_lies_over_the_usual_recipes_of_a_bag_which_keeps_its_offsets(tmp_path, said, searched_first):
    model = {"kind": "lightgbm", "tuned": not searched_first, "bag": {"standard": True}}
    run = run_of(tmp_path, models=[model], search={"before_training": searched_first})
    kept_by_a_search(run, run.settings.models[0], **FOUND)
    member = bag_as_trained(run, run.settings.models[0])
    assert member.bag.recipes == (FitRecipe(FOUND, 1), FitRecipe(FOUND, 4))
    assert (member.params, member.bag.in_words()) == (FOUND, "bag of 5 fits")
    for recipe in member.bag.recipes:
        make_model("lightgbm", recipe.params)  # no parameter is stated twice, under two names


def test_a_search_that_kept_the_defaults_leaves_a_bag_as_it_is(tmp_path, said):
    run = run_of(tmp_path, models=[{"kind": "lightgbm", "tuned": True, "bag": {"standard": True}}])
    kept_by_a_search(run, run.settings.models[0])
    assert bag_as_trained(run, run.settings.models[0]).bag.in_words() == "bag of 9 fits"


def test_recipes_of_ones_own_lie_over_what_was_found(tmp_path, said):
    recipes = [{"params": {"colsample": 0.3}, "era_step": 2}, {}]
    model = {"kind": "lightgbm", "tuned": True, "params": {"max_leaves": 5}, "bag": {"recipes": recipes}}
    run = run_of(tmp_path, models=[model])
    kept_by_a_search(run, run.settings.models[0], num_leaves=7, feature_fraction=0.5, lambda_l2=2.0)
    member = bag_as_trained(run, run.settings.models[0])
    assert member.bag.recipes == (
        FitRecipe({"max_leaves": 5, "lambda_l2": 2.0, "colsample": 0.3}, 2),
        FitRecipe({"max_leaves": 5, "lambda_l2": 2.0, "feature_fraction": 0.5}, 1),
    )
    assert member.params == {"max_leaves": 5}


def test_under_laptop_what_is_tuned_is_one_fit_beside_the_bag(tmp_path, said):
    settings = settings_from("laptop", {"home": str(tmp_path)}, ["models=lightgbm,lightgbm:tuned"])
    run = Run(settings, tmp_path / "run")
    kept_by_a_search(run, settings.models[1], **FOUND)
    bag, tuned = tuned_models(run)
    assert (bag.name, bag.bag.standard, bag.params) == ("lightgbm", True, {})
    assert (tuned.name, tuned.bag.wanted, tuned.params) == ("lightgbm-tuned", False, FOUND)


@pytest.mark.parametrize(
    ("error", "lost"), [(SearchStorageError("no database", "start it"), True), (SettingsError("wrong", "mend"), False)]
)
def test_a_week_goes_on_without_its_searches_but_not_with_a_wrong_setting(tmp_path, monkeypatch, said, error, lost):
    def fail(*_):
        raise error

    monkeypatch.setattr(searching, "search_all", fail)
    search_first(run_of(tmp_path), features_of(contract_of()))  # nothing was asked for
    run = run_of(tmp_path, search={"before_training": True})
    if lost:
        search_first(run, features_of(contract_of()))
        assert "without a search" in said[0][0]
        return
    with pytest.raises(SettingsError):
        search_first(run, features_of(contract_of()))


def test_the_estimate_counts_the_columns_and_eras_that_a_member_really_uses():
    features = features_of(contract_of())
    usual, other = (cut_of(features, ModelSettings(target=target)) for target in (None, "target_aux_20"))
    chosen = (("feature_a",), ("feature_a", "feature_c"), ("feature_a",), ("feature_b",))
    whole = train_need(features, usual)
    assert whole.columns == 3
    assert train_need(features, replace(usual, features=chosen)).columns == 2
    sets, recipes = (
        (FeatureSet("a"), FeatureSet("b")),
        (FitRecipe({"n_estimators": 50}), FitRecipe({"n_estimators": 10}, 4)),
    )
    bag = train_need(features, replace(usual, bag=Bag(recipes, sets)))
    assert (bag.trees, bag.rows, bag.columns) == (2 * (50 + 4 * 10), whole.rows, 3)
    assert train_need(features, other).eras == train_need(features, usual).eras + 8


def test_the_estimate_counts_what_the_threads_of_a_network_hold():
    features = features_of(contract_of())
    network = train_need(features, cut_of(features, ModelSettings(kind="transformer"))).cost
    assert network.thread_mb > KINDS["transformer"].cost.thread_mb + 10
    assert train_need(features, cut_of(features, ModelSettings())).cost == KINDS["lightgbm"].cost
