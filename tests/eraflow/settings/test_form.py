"""The form in the Prefect UI: what it shows first, what it sends, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from prefect.utilities.schema_tools import validate

from eraflow.settings.form import FOLDED
from eraflow.settings.profiles import PROFILES
from eraflow.settings.run import RunSettings
from eraflow.settings.section import Section
from flows.weekly import weekly

SCHEMA = RunSettings.model_json_schema()
PARAMETERS = weekly.parameters.model_dump_for_openapi()
FOLDABLE = sorted(name for name, field in SCHEMA["properties"].items() if "anyOf" in field)


def in_order(properties):
    return sorted(properties, key=lambda name: properties[name]["position"])


def drawn(field):
    """The group that a field stands for when it is open, or nothing."""
    choices = [field, *field.get("anyOf", ())]
    name = next((choice["$ref"].rpartition("/")[2] for choice in choices if "$ref" in choice), "")
    return SCHEMA["$defs"].get(name, {})


def filled_by_the_form(schema, given, opened):
    """What the form sends: the deployment's parameters, and each default that the schema names of what is seen."""
    values = dict(given)
    for name, field in schema["properties"].items():
        below = drawn(field)
        if "properties" in below and ("anyOf" not in field or name in opened):
            values[name] = filled_by_the_form(below, values.get(name) or {}, opened)
        elif name not in values and "default" in field:
            values[name] = field["default"]
    return values


def accepted(parameters):
    """Whether Prefect's server takes the parameters of a run."""
    return validate({"settings": parameters}, PARAMETERS) == []


def test_the_weeks_own_questions_stand_first_and_the_folders_last():
    order = in_order(SCHEMA["properties"])
    assert order[:4] == ["submit", "profile", "data", "models"]
    assert order[-2:] == ["home", "run_dir"]
    assert in_order(SCHEMA["$defs"]["SubmitSettings"]["properties"])[0] == "model"
    assert in_order(SCHEMA["$defs"]["DataSettings"]["properties"])[0] == "target"
    for group in (SCHEMA, *SCHEMA["$defs"].values()):
        positions = [field["position"] for field in group.get("properties", {}).values()]
        assert sorted(positions) == list(range(1, len(positions) + 1))


def test_every_other_group_is_folded():
    groups = {name for name, value in RunSettings() if isinstance(value, Section)}
    assert set(FOLDABLE) == groups - {"submit", "data"}
    for name in FOLDABLE:
        field = SCHEMA["properties"][name]
        assert field["anyOf"][0] == {"type": "null", "title": FOLDED}
        assert field["description"]
        assert "properties" in drawn(field)


@pytest.mark.parametrize("profile", sorted(PROFILES))
@given(opened=st.sets(st.sampled_from(FOLDABLE)))
def test_whatever_is_opened_a_form_that_is_sent_as_it_stands_gives_the_profile(profile, opened):
    sent = filled_by_the_form(SCHEMA, {"profile": profile}, opened)
    assert all(sent[name] is None or name in opened for name in FOLDABLE)
    assert RunSettings(**sent) == RunSettings(profile=profile)
    assert accepted(sent)


@pytest.mark.parametrize(
    "parameters",
    [
        {"profile": "sandbox", "windows": {"folds": 2}},
        {"gate": {"mmc_floor": None, "max_exposure": None}},
        {"submit": {"model": None}, "data": {"first_era": None, "alias_horizon": 20}},
        {"machine": {"memory_mb": 900, "threads": None}, "run_dir": None},
        RunSettings(profile="workstation").model_dump(mode="json"),
    ],
)
def test_what_deployments_and_people_write_is_taken_by_the_server_and_by_the_flow(parameters):
    assert accepted(parameters)
    RunSettings(**parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"windows": {"folds": 0}},
        {"gate": {"confidence": 2}},
        {"data": {"era_stride": "many"}},
        {"submit": {"modle": "a"}},
        {"machine": {"device": "tpu"}},
        {"profile": "mainframe"},
        {"round": 3},
    ],
)
def test_what_is_wrong_is_refused_by_the_server_before_a_run_begins(parameters):
    assert not accepted(parameters)


def test_an_emptied_box_is_no_text():
    settings = RunSettings(submit={"model": ""}, data={"benchmark": ""}, run_dir="", gate=None)
    assert (settings.submit.model, settings.data.benchmark, settings.run_dir) == (None, None, None)
    assert settings == RunSettings()


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
