"""How a bag is asked for: the mark of the command line, dotted settings, JSON."""

import pytest

from eraflow.errors import SettingsError
from eraflow.settings.bag import BagSettings
from eraflow.settings.override import settings_from, settings_on
from eraflow.settings.run import RunSettings

BOOSTERS = ["lightgbm", "xgboost", "catboost"]


def models(*assignments, profile="laptop"):
    return settings_from(profile, {}, assignments).models


def told(*assignments, profile="laptop"):
    """Name -> whether it is a bag, and whether it is tuned."""
    return {model.name: (model.bag.wanted, model.tuned) for model in models(*assignments, profile=profile)}


@pytest.mark.parametrize("profile", ["laptop", "workstation"])
def test_the_boosters_of_the_profiles_are_their_usual_bags_and_keep_their_names(profile):
    found = models(profile=profile)
    assert [model.name for model in found if model.bag.standard] == BOOSTERS
    assert [model.name for model in found if not model.bag.wanted] == ["mlp", "autoencoder"]
    assert all(model.bag == BagSettings(standard=True) for model in found[:3])  # on one set, whatever the features
    assert not any(model.optional for model in found[:3])
    assert RunSettings().models == models()  # these are the defaults


def test_the_sandbox_has_single_fits():
    assert told(profile="sandbox") == dict.fromkeys(BOOSTERS, (False, False))


def test_who_names_a_member_of_the_profile_keeps_its_bag():
    assert told("models=lightgbm,mlp") == {"lightgbm": (True, False), "mlp": (False, False)}
    assert told("models=lightgbm@target_ender_60,xgboost:residual") == {
        "lightgbm-ender60": (True, False),
        "xgboost-residual": (True, False),
    }
    assert told('models=["lightgbm", {"kind": "xgboost"}]') == {"lightgbm": (True, False), "xgboost": (False, False)}
    assert told("models=all")["catboost"] == (True, False)


def test_the_mark_bag_names_the_usual_bag_and_the_member_after_it():
    bag, plain = models("models=lightgbm@target_ender_20:bag,lightgbm", profile="sandbox")
    assert (bag.name, bag.bag.wanted, bag.bag.standard) == ("lightgbm-ender20-bag", True, True)
    assert (plain.name, plain.bag.wanted) == ("lightgbm", False)
    assert told("models=lightgbm@target_ender_20:bag") == {"lightgbm-ender20-bag": (True, False)}


@pytest.mark.parametrize("profile", ["laptop", "sandbox"])
def test_the_mark_single_names_one_fit_whatever_the_profile_has(profile):
    found = told("models=lightgbm:single,lightgbm@target_ender_60:single,mlp:single", profile=profile)
    assert found == dict.fromkeys(("lightgbm-single", "lightgbm-ender60-single", "mlp-single"), (False, False))
    assert told("models=lightgbm,lightgbm:single") == {"lightgbm": (True, False), "lightgbm-single": (False, False)}
    single = models("models=xgboost:single", "models.xgboost-single.params.max_depth=4", profile=profile)[0]
    assert single.params["max_depth"] == 4


def test_a_bag_may_be_taken_from_a_member_without_another_name():
    assert told("models.lightgbm.bag.standard=false")["lightgbm"] == (False, False)


def test_what_is_tuned_is_one_fit_unless_a_bag_is_asked_for_beside_it():
    assert told("models=lightgbm:tuned,xgboost:tuned:bag,catboost") == {
        "lightgbm": (False, True),
        "xgboost-bag": (True, True),
        "catboost": (True, False),
    }
    assert told("models=lightgbm:bag:tuned") == {"lightgbm-bag": (True, True)}
    assert told("models.lightgbm.tuned=true")["lightgbm"] == (True, True)


def test_a_tuned_member_beside_the_same_one_untuned_has_a_name_of_its_own():
    assert told("models=lightgbm,lightgbm:tuned") == {"lightgbm": (True, False), "lightgbm-tuned": (False, True)}
    assert told("models=lightgbm:bag,lightgbm:tuned:bag,lightgbm:single,lightgbm:tuned:single") == {
        "lightgbm-bag": (True, False),
        "lightgbm-bag-tuned": (True, True),
        "lightgbm-single": (False, False),
        "lightgbm-single-tuned": (False, True),
    }


def test_a_name_of_ones_own_stays_whatever_is_said_of_the_member():
    stored = RunSettings(models=[{"kind": "lightgbm", "name": "mine", "bag": {"standard": True}}])
    found = settings_on(stored, {}, ["models=mine:single,xgboost"]).models
    assert [(model.name, model.bag.wanted) for model in found] == [("mine", False), ("xgboost", False)]


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
        (["models=lightgbm:bag:single"], "keep :bag or :single"),
        (["models=lightgbm:one"], ":tuned, :bag, :single"),
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
