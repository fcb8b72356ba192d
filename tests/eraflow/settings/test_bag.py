"""How a bag is asked for: the mark of the command line, dotted settings, JSON."""

import pytest

from eraflow.errors import SettingsError
from eraflow.settings.override import settings_from, settings_on
from eraflow.settings.run import RunSettings


def models(*assignments):
    return settings_from("laptop", {}, assignments).models


def test_the_mark_bag_names_the_usual_bag_and_the_member_after_it():
    bag, plain = models("models=lightgbm@target_ender_20:bag,lightgbm")
    assert (bag.name, bag.bag.wanted, bag.bag.standard) == ("lightgbm-ender20-bag", True, True)
    assert (plain.name, plain.bag.wanted) == ("lightgbm", False)


def test_two_members_with_the_mark_do_not_share_what_is_set_of_one():
    one, other = models("models=lightgbm:bag,xgboost:bag", "models.lightgbm-bag.bag.feature_sets=run,small")
    assert one.bag.feature_sets == ["run", "small"]
    assert other.bag.feature_sets == []


def test_recipes_are_json_and_come_back_as_they_were_stored():
    text = '[{"params": {"n_estimators": 50}, "era_step": 4}, {}]'
    settings = settings_from("sandbox", {}, [f"models.lightgbm.bag.recipes={text}"])
    first = settings.models[0]
    assert [(one.params, one.era_step) for one in first.bag.recipes] == [({"n_estimators": 50}, 4), ({}, 1)]
    assert first.name == "lightgbm"  # who addresses it by its name keeps the name
    assert RunSettings(**settings.model_dump(mode="json")) == settings
    assert settings_on(settings, {}, ['models.lightgbm.bag={"standard": true}']).models[0].bag.standard


def test_null_means_that_nothing_is_set_of_it():
    assert not RunSettings(models=[{"kind": "lightgbm", "bag": None}]).models[0].bag.wanted


@pytest.mark.parametrize(
    ("assignments", "named"),
    [
        (["models=lightgbm:bag:tuned"], "is a bag and tuned"),
        (["models=lightgbm:bag", "models.lightgbm-bag.bag.recipe=[]"], "bag.recipe is no setting"),
        (["models=lightgbm:bag", 'models.lightgbm-bag.bag.recipes=[{"era_step": 0}]'], "era_step"),
        (["models=lightgbm:bag", 'models.lightgbm-bag.bag.recipes=[{"era": 4}]'], "era is no setting"),
        (["models=transformer:bag", "models.transformer-bag.params.adapt=lora"], "adapts a base"),
        (["models=lightgbm:bags"], "bags"),
        (
            [
                "data.code=vae",
                "data.code_use=instead",
                "models=lightgbm:bag",
                "models.lightgbm-bag.bag.feature_sets=medium",
            ],
            "leaves no features",
        ),
    ],
)
def test_what_does_not_go_together_is_named(assignments, named):
    with pytest.raises(SettingsError, match=named):
        models(*assignments)
