"""Further ensembles: what they override, and what is refused before any work."""

import json

import pytest

from eraflow.errors import SettingsError
from eraflow.settings.blend import BlendSettings
from eraflow.settings.ensembles import EnsembleSettings
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings

TWO = [{"kind": "lightgbm"}, {"kind": "xgboost"}]


def test_what_is_given_is_laid_on_the_blend_of_the_week():
    common = BlendSettings(method="exponential", half_life=20, neutralise=0.25, models=["a", "b"])
    assert EnsembleSettings(name="same").blend(common) == common
    changed = EnsembleSettings(name="other", models=["a"], neutralise=0.0, method="payout").blend(common)
    assert (changed.models, changed.neutralise, changed.method, changed.half_life) == (["a"], 0.0, "payout", 20)


def test_they_are_given_on_the_command_line_and_stored_as_they_are():
    asked = [{"name": "solo", "models": ["xgboost"], "slot": "b"}, {"name": "flat", "challenges": True}]
    settings = settings_from("sandbox", {}, [f"ensembles={json.dumps(asked)}", "submit.model=a"])
    assert [each.name for each in settings.ensembles] == ["solo", "flat"]
    assert RunSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("ensembles", "said"),
    [
        ([{"name": "a", "models": ["lightgbx"]}], "names 'lightgbx'; the models are lightgbm, xgboost"),
        ([{"name": "a"}, {"name": "a"}], "ensemble names must differ"),
        ([{"name": "a", "slot": "s"}, {"name": "b", "slot": "s"}], "slots must differ"),
        ([{"name": "a", "slot": "week"}], "submit.model names it"),
        ([{"name": "../a"}], "name"),
        ([{"name": "main"}], "an ensemble of its own"),
        ([{"name": "a", "challenges": True}, {"name": "b", "challenges": True}], "one ensemble at a time"),
    ],
)
def test_what_cannot_be_is_refused(ensembles, said):
    with pytest.raises(SettingsError, match=said):
        settings_from("sandbox", {"models": TWO, "submit": {"model": "week"}, "ensembles": ensembles})


def test_a_slot_of_its_own_needs_the_name_of_the_main_one():
    with pytest.raises(SettingsError, match=r"submit\.model"):
        settings_from("sandbox", {"ensembles": [{"name": "a", "slot": "s"}]})
