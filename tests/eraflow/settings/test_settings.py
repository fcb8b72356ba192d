"""Profiles, assignments, and the form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.errors import SettingsError
from eraflow.settings import PROFILES, RunSettings
from eraflow.settings.override import settings_from


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_profile_survives_json_and_is_the_same_from_every_door(profile):
    settings = RunSettings(profile=profile)
    assert RunSettings.model_validate_json(settings.model_dump_json()) == settings
    assert settings_from(profile, {}) == settings
    assert RunSettings(**settings.model_dump()) == settings


def test_what_is_given_wins_over_the_profile_and_the_rest_comes_from_it():
    settings = RunSettings(profile="sandbox", windows={"folds": 7}, machine={"threads": 1})
    assert settings.windows.folds == 7
    assert settings.machine.threads == 1
    assert settings.machine.memory_mb == RunSettings(profile="sandbox").machine.memory_mb
    assert settings.source.kind == "sandbox"


def test_assignments_reach_every_depth_and_do_not_leak_into_the_next_run():
    changed = settings_from("sandbox", {}, ["models.lightgbm.params.n_estimators=5", "data.target=target_x_60"])
    assert changed.models[0].params["n_estimators"] == 5
    assert changed.data.target == "target_x_60"
    assert settings_from("sandbox", {}).models[0].params["n_estimators"] != 5


def test_models_by_name():
    assert [model.name for model in settings_from("laptop", {}, ["models=catboost,lightgbm"]).models] == [
        "catboost",
        "lightgbm",
    ]
    kept = settings_from("sandbox", {}, ["models=lightgbm"]).models[0]
    assert kept == RunSettings(profile="sandbox").models[0]


@pytest.mark.parametrize(
    ("assignment", "names"),
    [
        ("windows.fold=3", "windows.fold"),
        ("windows.folds=0", "windows.folds"),
        ("windows.folds=many", "windows.folds"),
        ("nothing", "key=value"),
        ("models.nn.name=x", "nn"),
        ("models=neural", "neural"),
        ("seed.deep=1", "seed"),
        ("submit.dry_run=perhaps", "submit.dry_run"),
    ],
)
def test_wrong_assignments_are_named(assignment, names):
    with pytest.raises(SettingsError, match="settings") as caught:
        settings_from("laptop", {}, [assignment])
    assert names in str(caught.value)


def test_unknown_profile():
    with pytest.raises(SettingsError, match="laptop"):
        settings_from("mainframe", {})


def test_two_models_of_one_name_are_refused():
    with pytest.raises(SettingsError, match="differ"):
        settings_from("laptop", {"models": [{"kind": "lightgbm"}, {"kind": "lightgbm"}]})


@given(st.text(max_size=12))
def test_a_model_name_is_always_a_safe_folder_name(name):
    try:
        settings = settings_from("laptop", {"models": [{"kind": "lightgbm", "name": name}]})
    except SettingsError:
        return
    kept = settings.models[0].name
    assert "/" not in kept
    assert kept not in (".", "..", "")


def test_every_field_of_the_form_explains_itself():
    schema = RunSettings.model_json_schema()
    groups = [schema, *schema["$defs"].values()]
    fields = {name: field for group in groups for name, field in group.get("properties", {}).items()}
    silent = [
        name
        for name, field in fields.items()
        if "description" not in field and "$ref" not in field and "items" not in field
    ]
    assert silent == []
