"""`--set key=value`: text stays text, a wrong name finds the right one, and nothing ends in a traceback."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.errors import SettingsError
from eraflow.kinds import KINDS
from eraflow.settings.listing import all_settings
from eraflow.settings.override import settings_from, settings_on
from eraflow.settings.run import RunSettings

DEEP = "[" * 100_000


def one(*assignments, profile="laptop"):
    return settings_from(profile, {}, list(assignments))


@pytest.mark.parametrize(
    "text", ["1e5", "5.30", "007", "true", "NaN", "1_000", "[x", "{}", "-", " a b ", "a=b", "ü*?#%"]
)
@pytest.mark.parametrize("name", ["submit.model", "data.target", "home", "tracking.experiment", "alert.block"])
def test_text_is_taken_as_it_stands(name, text):
    found = one(f"{name}={text}").model_dump()
    for part in name.split("."):
        found = found[part]
    assert found == text


@pytest.mark.parametrize("text", ["null", "", " null "])
def test_an_optional_text_is_emptied_and_one_in_quotes_is_json(text):
    assert one("alert.block=slack-webhook/a", f"alert.block={text}").alert.block is None
    assert one('submit.model="null"').submit.model == "null"
    assert one('data.target="target_x_20"').data.target == "target_x_20"
    with pytest.raises(SettingsError, match=r"data\.version"):
        one('data.version="unfinished \\ud800"')


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("windows.fold=3", "windows.folds"),
        ("folds=3", "windows.folds"),
        ("gate.cor_bound=0", "gate.corr_bound"),
        ("sumbit.model=x", "submit.model"),
        ("models.lightgbm.parms.x=1", "models.lightgbm.params"),
        ("alert.blok=x", "alert.block"),
        ("DATA.TARGET=x", "data.target"),
    ],
)
def test_an_unknown_name_finds_the_one_that_was_meant(wrong, right):
    with pytest.raises(SettingsError) as caught:
        one(wrong)
    assert right in caught.value.remedy.partition("?")[0]


def test_a_misspelt_name_from_the_form_finds_it_as_well():
    with pytest.raises(SettingsError, match=r"did you mean windows\.folds"):
        settings_from("laptop", {"windows": {"fold": 3}})


def test_only_what_is_named_is_changed_of_stored_settings():
    stored = one("seed=3", "windows.folds=4", "models.lightgbm.params.n_estimators=9", profile="sandbox")
    changed = settings_on(stored, {"data": {"target": "target_b_20"}}, ["gate.bmc_bound=null"])
    assert changed.gate.bmc_bound is None
    assert changed.data.target == "target_b_20"
    assert changed.model_copy(update={"gate": stored.gate, "data": stored.data}) == stored


def test_a_profile_among_the_assignments_is_the_profile():
    assert one("profile=sandbox", "windows.folds=4") == one("windows.folds=4", profile="sandbox")


def test_a_group_and_a_list_may_be_given_as_json():
    made = one('windows={"folds": 7}', 'models.lightgbm={"params": {"a": [1, 2]}}', "models.0.params.a.1=5")
    assert made.windows.folds == 7
    assert made.windows.kind == RunSettings().windows.kind
    assert made.models[0].params["a"] == [1, 5]
    assert [model.kind for model in one('models=["catboost", {"kind": "lightgbm"}]').models] == ["catboost", "lightgbm"]


@pytest.mark.parametrize(
    ("assignment", "names"),
    [
        ('models=[{"kind": "lightgbm", "kind": "xgboost"}]', "twice"),
        ('models.lightgbm.params={"a": {"b": 1, "b": 2}}', "twice"),
        (f"models.lightgbm.params.x={DEEP}", "deeper"),
        (f"models={DEEP}", "deeper"),
        (f"windows={DEEP}", "deeper"),
        ("models.lightgbm.params.x=" + "[" * 40 + "]" * 40, "deeper"),
        ("models.7.params.x=1", "no model '7'"),
        ("models.-1.params.x=1", "no model '-1'"),
        ("models.\u0663.params.x=1", "no model"),
        ("models.lightgbm=5", "JSON object"),
        ("models=[5]", "no model"),
        ('models={"kind": "lightgbm"}', "no JSON list"),
        ("models=", ", ".join(KINDS)),
        ("models..kind=x", "no model ''"),
        ("models.lightgbm..x=1", "no setting"),
        ("models.lightgbm.params..x=1", "empty part"),
        ("models.lightgbm.kind.x=1", "not a group"),
        ("windows=5", "JSON object"),
        ("windows..folds=1", "no setting"),
        ("windows.=1", "no setting"),
        (".=1", "key=value"),
        ("=1", "key=value"),
        ("", "key=value"),
        ("windows.folds=true", "takes a number"),
        ("windows.folds.deep=1", "not a group"),
        ("search.models.0=x", "not a group"),
        ("payout.multipliers.corr.deep=1", "payout.multipliers"),
        ("seed=" + "9" * 5000, "seed"),
        ("x" * 100_000 + "=1", "no setting"),
        ("data.target=" + "\udcff", "Unicode"),
        ("profile=mainframe", "mainframe"),
    ],
)
def test_wrong_ones_are_named_and_short(assignment, names):
    with pytest.raises(SettingsError) as caught:
        one(assignment)
    assert names in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_every_kind_of_model_may_be_named():
    kinds = list(KINDS)
    assert [model.kind for model in one(f"models={','.join(kinds)}").models] == kinds


NAMES = st.sampled_from(
    [*all_settings(), "models", "windows", "models.0", "models.lightgbm.params.a", "payout.multipliers"]
)
PIECES = st.sampled_from(
    ["models", "0", "-1", "lightgbm", "params", "", " ", "windows", "\udcff", "folds", "\u0661", "a" * 99]
)
KEYS = NAMES | st.lists(PIECES | st.text(max_size=4), max_size=6).map(".".join)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["kind", "name", "params", "a"]), below)
    ),
    max_leaves=8,
)
VALUES = (
    st.text(max_size=20) | PLAIN.map(json.dumps) | st.sampled_from(["[", "{", "[]", "{}", '"', "[[[", DEEP, "1e999"])
)
ASSIGNMENTS = st.builds("{}={}".format, KEYS, VALUES) | st.text(max_size=20)


@settings(max_examples=400, deadline=None)
@given(st.lists(ASSIGNMENTS, min_size=1, max_size=4))
def test_no_assignments_end_in_a_traceback(assignments):
    try:
        made = one(*assignments, profile="sandbox")
    except SettingsError:
        return
    assert RunSettings.model_validate_json(made.model_dump_json()) == made


def test_all_is_one_member_of_every_kind_and_those_that_need_an_extra_are_optional():
    chosen = {model.name: model for model in one("models=all").models}
    assert set(chosen) == set(KINDS)
    assert {name for name, model in chosen.items() if model.optional} == {
        name for name, row in KINDS.items() if row.extra
    }


def test_all_leaves_a_kind_that_is_named_besides_as_it_is_named():
    chosen = one("models=all,mlp,lightgbm@target_b_20").models
    assert sorted(model.name for model in chosen) == sorted([*KINDS, "lightgbm-b20"])
    assert not next(model for model in chosen if model.name == "mlp").optional
