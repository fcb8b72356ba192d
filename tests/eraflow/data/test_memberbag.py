"""What a bag is made of, as the settings and the data of the run allow it."""

import json

import pytest

from eraflow.data.memberbag import BagFeaturesError, FitRecipe, cut_bag, planned_bag
from eraflow.data.membereras import Member
from eraflow.kinds import KINDS
from eraflow.machine.job import as_json, from_json
from eraflow.settings.bag import OTHER_NAMES, STANDARD, BagRecipe, BagSettings
from models.boosters.lightgbm_model import _canonical_names
from models.kinds import model_class

FEATURES = ("b", "a", "c", "d")
SETS = {"medium": ("a", "b"), "small": ("d",), "all": ("a", "b", "c", "d"), "wide": ("a", "e")}


def cut(bag, kind="lightgbm", params=None, features=FEATURES, asked="all"):
    return cut_bag(bag, kind, params or {}, features, SETS, asked)


def sets_of(bag):
    return [(each.name, each.features) for each in bag.sets]


def test_a_member_without_recipes_is_no_bag():
    assert cut(BagSettings()) is None


def test_the_usual_bag_learns_from_the_runs_features_and_from_other_sets_where_that_is_said():
    assert sets_of(cut(BagSettings(standard=True))) == [("run", None)]
    both = cut(BagSettings(standard=True, feature_sets=["run", "medium"]))
    assert sets_of(both) == [("run", None), ("medium", ("b", "a"))]
    assert both.in_words() == "bag of 18 fits over run and medium"


def test_what_is_planned_is_what_is_cut_but_for_the_features_of_the_sets():
    for bag in (BagSettings(standard=True), BagSettings(recipes=[BagRecipe(era_step=3)], feature_sets=["small"])):
        planned = planned_bag(bag, "xgboost", {"x": 1})
        assert (planned.recipes, planned.in_words()) == (cut(bag, "xgboost", {"x": 1}).recipes, planned.in_words())
        assert all(each.features is None for each in planned.sets)
    assert planned_bag(BagSettings(), "xgboost", {}) is None


@pytest.mark.parametrize("kind", [*sorted(KINDS), "./mine.py:Mine"])
def test_every_kind_has_a_usual_bag_with_fits_on_every_fourth_era(kind):
    bag = cut(BagSettings(standard=True), kind, features=("a",), asked="small")
    assert 4 in {recipe.era_step for recipe in bag.recipes}
    assert bag.fits == sum(recipe.era_step for recipe in bag.recipes)
    assert bag.in_words() == f"bag of {bag.fits} fits"


def test_the_first_recipe_of_lightgbm_are_the_settings_that_it_has_without_a_bag():
    from models.kinds import make_model

    plain, bagged = (make_model("lightgbm", params).params for params in ({}, STANDARD["lightgbm"][0].params))
    assert plain == bagged


def test_own_recipes_lie_over_the_members_params():
    bag = cut(
        BagSettings(standard=True, recipes=[BagRecipe(params={"x": 2}, era_step=3)], feature_sets=["small", "run"]),
        params={"x": 1, "y": 1},
    )
    assert bag.recipes == (FitRecipe({"x": 2, "y": 1}, 3),)
    assert sets_of(bag) == [("small", ("d",)), ("run", None)]
    assert bag.fits == 6
    assert bag.in_words() == "bag of 6 fits over small and run"


def test_the_members_params_lie_over_those_of_the_usual_recipes():
    usual, changed = (cut(BagSettings(standard=True), params=params) for params in ({}, {"n_estimators": 7}))
    assert {recipe.params["n_estimators"] for recipe in changed.recipes} == {7}
    assert [{**recipe.params, "n_estimators": 7} for recipe in usual.recipes] == [one.params for one in changed.recipes]


@pytest.mark.parametrize("kind", sorted(STANDARD))
def test_the_other_names_of_the_usual_parameters_are_those_that_the_learners_know(kind):
    learner = model_class(kind)()
    known = {*learner.other_names, *learner.other_names.values()} | (
        set(_canonical_names()) if kind == "lightgbm" else set()
    )
    for recipe in STANDARD[kind]:
        for name in recipe.params:
            alike = {one for one in known | {name} if learner._own_name(one) == learner._own_name(name)}
            assert alike - {name} == set(OTHER_NAMES[kind].get(name, ())), name


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, all in OTHER_NAMES.items() for ns in all.values() for n in sorted(ns)]
)
def test_a_member_may_state_a_parameter_by_any_of_its_names(kind, name):
    from models.kinds import make_model

    own = model_class(kind)()._own_name(name)
    value = 3 if own in ("depth", "num_leaves", "num_iterations", "n_estimators", "iterations") else 0.25
    for recipe in cut(BagSettings(standard=True), kind, {name: value}).recipes:
        assert make_model(kind, recipe.params).params[own] == value


def test_usual_recipes_that_the_members_params_make_alike_are_fitted_once():
    alike = {"n_iter": 40, "eta": 0.1, "max_depth": 4, "max_leaf": 9, "feature_fraction": 0.5}
    bag = cut(BagSettings(standard=True), params=alike)
    assert bag.recipes == (FitRecipe(alike, 1), FitRecipe(alike, 4))
    assert bag.fits == 5


def test_sets_alone_make_a_bag_of_the_members_own_params():
    bag = cut(BagSettings(feature_sets=["medium"]), params={"x": 1})
    assert bag.recipes == (FitRecipe({"x": 1}),)


def test_a_set_that_the_run_does_not_hold_is_named():
    with pytest.raises(BagFeaturesError, match="holds 1 of them"):
        cut(BagSettings(feature_sets=["wide"]))
    with pytest.raises(BagFeaturesError, match="'middle'"):
        cut(BagSettings(feature_sets=["middle"]))
    with pytest.raises(BagFeaturesError, match="holds 0 of them"):
        cut(BagSettings(feature_sets=["small"]), features=("a", "b", "c"), asked="all-d")


def test_what_the_run_takes_away_is_taken_from_the_sets():
    bag = cut(BagSettings(feature_sets=["medium", "all"]), features=("b", "c", "d"), asked="all-a")
    assert sets_of(bag) == [("medium", ("b",)), ("all", ("b", "c", "d"))]


def test_a_bag_comes_through_the_pipe_as_it_was():
    job = Member("lightgbm", "a", {}, "t", (), (), bag=cut(BagSettings(standard=True)))
    assert from_json(Member, json.loads(json.dumps(as_json(job), sort_keys=True))) == job
