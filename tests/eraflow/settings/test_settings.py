"""Profiles, assignments, and the form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.errors import SettingsError
from eraflow.settings.override import settings_from
from eraflow.settings.profiles import PROFILES
from eraflow.settings.run import RunSettings


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
        ("models.lightgbm.name=blend", "blend"),
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


@pytest.mark.parametrize("source", [{"data_dir": "/data"}, {"url": "http://127.0.0.1:1"}])
def test_own_data_or_an_own_server_never_meet_numerais_keys(source):
    with pytest.raises(SettingsError, match="sandbox"):
        settings_from("laptop", {"source": source})
    assert settings_from("laptop", {"source": {**source, "kind": "sandbox"}}).source.kind == "sandbox"


def test_a_password_in_an_address_is_refused():
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_PASSWORD"):
        settings_from("laptop", {"tracking": {"uri": "https://me:secret@mlflow.example.org"}})


def test_the_champion_as_stand_in_needs_the_registry():
    with pytest.raises(SettingsError, match=r"tracking\.enabled"):
        settings_from("laptop", {"gate": {"on_block": "champion"}, "tracking": {"enabled": False}})


def test_a_model_slot_may_be_a_number():
    assert settings_from("laptop", {}, ["submit.model=123"]).submit.model == "123"


def members(*texts, profile="sandbox"):
    return settings_from(profile, {}, [f"models={','.join(texts)}"]).models


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_members_of_one_kind_are_told_apart_by_what_they_learn(profile):
    texts = ["lightgbm", "lightgbm@target_ender_60", "lightgbm@target_ender_60:residual", "lightgbm:tuned:residual"]
    found = members(*texts, "catboost:tuned", profile=profile)
    assert [(model.name, model.target, model.learn, model.tuned) for model in found] == [
        ("lightgbm", None, "target", False),
        ("lightgbm-ender60", "target_ender_60", "target", False),
        ("lightgbm-ender60-residual", "target_ender_60", "residual", False),
        ("lightgbm-residual", None, "residual", True),
        ("catboost", None, "target", True),
    ]
    assert len({str(model.params) for model in found[:4]}) == 1  # the profile's own


def test_a_member_is_addressed_by_the_name_it_got_and_changes_no_other():
    assignments = ["models=lightgbm,lightgbm@target_b_20", "models.lightgbm-b20.params.n_estimators=5"]
    first, second = settings_from("sandbox", {}, assignments).models
    assert first.params["n_estimators"] != 5
    assert second.params["n_estimators"] == 5


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_model_that_is_changed_by_its_name_keeps_it(profile):
    assignments = ["models.lightgbm.target=target_b_20", "models.lightgbm.params.n_estimators=5"]
    model = settings_from(profile, {}, assignments).models[0]
    assert (model.name, model.target, model.params["n_estimators"]) == ("lightgbm", "target_b_20", 5)


def test_targets_of_members_are_gathered_once_each_without_the_runs_own():
    settings = settings_from(
        "sandbox", {}, ["models=lightgbm,lightgbm@target_b_60,xgboost@target_b_60,catboost@target_ender_20:residual"]
    )
    assert settings.auxiliary_targets == ("target_b_60",)
    assert settings.learns_residual
    several = ["models=mlp,lightgbm@target_b_60", 'models.mlp.also_learn={"target_b_20": 0.5, "target_ender_20": 1}']
    assert settings_from("sandbox", {}, several).auxiliary_targets == ("target_b_20", "target_b_60")
    assert not RunSettings().learns_residual
    assert RunSettings().auxiliary_targets == ()


@pytest.mark.parametrize(
    ("assignments", "names"),
    [
        (["models=lightgbm@"], "names no target"),
        (["models=lightgbm", 'models.lightgbm.also_learn={"target_b_20": 1}'], "learns one target"),
        (["models=mlp:residual", 'models.mlp-residual.also_learn={"target_b_20": 1}'], "by itself"),
        (["models=mlp@target_b_20", 'models.mlp-b20.also_learn={"target_b_20": 1}'], "learns anyway"),
        (["models=mlp", 'models.mlp.also_learn={"target_b_20": 0}'], "above 0"),
        (["models=lightgbm:residue"], "residue"),
        (["models=neural@target_b_20"], "neural"),
        (["models=lightgbm,lightgbm"], "a target of its own"),
        (["models=lightgbm@target_b_20,lightgbm@target_b20"], "differ"),
        (["models=lightgbm", 'selection.models=["xgboost"]'], "selection.models"),
        (["models=lightgbm", 'search.models=["xgboost"]'], "search.models"),
    ],
)
def test_wrong_members_are_named(assignments, names):
    with pytest.raises(SettingsError) as caught:
        settings_from("laptop", {}, assignments)
    assert names in str(caught.value)


@pytest.mark.parametrize("group", ["search", "selection"])
@pytest.mark.parametrize("text", ["lightgbm,xgboost", '["lightgbm", "xgboost"]', "lightgbm, xgboost"])
def test_groups_name_models_by_a_list_with_commas_as_well(group, text):
    settings = settings_from("sandbox", {}, [f"{group}.models={text}"])
    assert getattr(settings, group).models == ["lightgbm", "xgboost"]
    assert settings.models == settings_from("sandbox", {}).models


def test_a_storage_that_is_no_address_is_a_wrong_setting():
    with pytest.raises(SettingsError, match=r"search\.storage.*dialect://"):
        settings_from("sandbox", {}, ["search.storage=search.db"])


@given(st.text(max_size=20))
def test_whatever_the_target_is_called_the_name_is_safe(target):
    try:
        model = RunSettings(models=[{"kind": "lightgbm", "target": target}]).models[0]
    except ValueError:
        return
    assert model.name.replace("-", "").isalnum()
    assert model.name.isascii()


def test_a_tuned_model_stands_beside_the_same_one_untuned():
    found = members("lightgbm", "lightgbm:tuned", "xgboost:tuned", profile="sandbox")
    assert [(model.name, model.tuned) for model in found] == [
        ("lightgbm", False),
        ("lightgbm-tuned", True),
        ("xgboost", True),
    ]
