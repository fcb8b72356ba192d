"""What is stored and read back is equal, for every setting; and no setting takes a number that is not finite."""

import json
import math
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eraflow.errors import SettingsError
from eraflow.settings.listing import all_settings, alternatives, section_of
from eraflow.settings.models import ModelSettings
from eraflow.settings.override import settings_from, settings_on, validated
from eraflow.settings.run import RunSettings

ODD_FLOATS = [math.inf, -math.inf, math.nan, 1e308, 5e-324, -0.0, 0.1 + 0.2, 1e22, 2.0**63]
ODD_TEXTS = ["", "null", "NaN", "1e5", "5.30", "\ud800", "a\0b", "ü", "\U0001f600", "x" * 300, '"', "\\", "\n"]
NUMBERS = st.floats() | st.sampled_from(ODD_FLOATS) | st.integers() | st.sampled_from([2**53 + 1, 2**64, 10**400])
TEXTS = st.text(max_size=8) | st.sampled_from(ODD_TEXTS)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3),
    max_leaves=8,
)


def fields(group=RunSettings, prefix=()):
    """Every field as (path, annotation); those of the first model stand for those of all."""
    for name, field in group.model_fields.items():
        below = section_of(field)
        if below is not None:
            yield from fields(below, (*prefix, name))
        elif name == "models" and group is RunSettings:
            yield from fields(ModelSettings, ("models", 0))
        else:
            yield (*prefix, name), field.annotation


FIELDS = list(fields())


def a_value(annotation):
    """Values of a type, and others now and then."""
    likely = []
    for one in alternatives(annotation):
        origin = get_origin(one)
        if origin is Literal:
            likely.append(st.sampled_from(get_args(one)))
        elif one in (int, float):
            likely.append(st.integers(0, 400) | st.floats(0, 1) | NUMBERS)
        elif one is bool:
            likely.append(st.booleans())
        elif one is str:
            likely.append(TEXTS)
        elif origin is list:
            likely.append(st.lists(TEXTS, max_size=2) | st.just(["lightgbm"]))
        elif origin is dict:
            likely.append(st.dictionaries(TEXTS, JSON if "JsonValue" in str(one) else NUMBERS, max_size=3))
        else:
            likely.append(st.none())
    return st.one_of(*likely, JSON)


@st.composite
def changes(draw):
    """Nested values for some settings."""
    values = {"profile": draw(st.sampled_from(["sandbox", "laptop", "workstation"]))}
    for path, annotation in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4)):
        node, value = values, draw(a_value(annotation))
        if path[0] == "models":
            node, path = values.setdefault("models", [{"kind": "lightgbm"}])[0], path[2:]
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = value
    return values


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes())
def test_whatever_is_accepted_is_finite_and_comes_back_as_it_was(values):
    try:
        made = validated(values)
    except SettingsError:
        return
    stored = made.model_dump_json(indent=2)
    assert RunSettings.model_validate_json(stored) == made
    assert RunSettings.model_validate_json(stored.encode("utf-8")) == made
    plain = json.loads(stored)
    json.dumps(plain, allow_nan=False)
    assert RunSettings(**plain) == made
    assert settings_on(made, {}) == made
    assert all(math.isfinite(leaf) for leaf in leaves(made.model_dump()) if isinstance(leaf, float))


@pytest.mark.parametrize("text", ["\ud800", "s3://\ud800", "a\0b"])
@pytest.mark.parametrize("key", ["tracking.artifacts", "tracking.uri", "data.version", "run_dir", "home"])
def test_text_that_is_no_unicode_is_refused_in_words_that_can_be_shown(key, text):
    head, _, name = key.partition(".")
    with pytest.raises(SettingsError, match="is no Unicode text") as refused:
        validated({"profile": "sandbox", head: {name: text} if name else text})
    assert str(refused.value).isascii()


@pytest.mark.parametrize("path", [path for path, _ in FIELDS], ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_no_field_takes_a_number_that_is_not_finite_from_any_door(path, number):
    word = {"inf": "Infinity", "nan": "NaN"}[str(number)]
    is_text = any(one in (str, list[str]) for one in alternatives(dict(FIELDS)[path]))
    nested, text = number, word
    for part in reversed(path):
        nested = [{"kind": "lightgbm", **nested}] if part == 0 else {part: nested}
        text = f'[{{"kind": "lightgbm", {text[1:]}]' if part == 0 else f'{{"{part}": {text}}}'
    for door in (lambda: RunSettings(**nested), lambda: RunSettings.model_validate_json(text)):
        try:
            made = door()
        except ValueError:
            continue
        assert is_text  # the form's numbers are written out for a text
        assert RunSettings.model_validate_json(made.model_dump_json()) == made
    if not is_text:
        with pytest.raises(SettingsError):
            settings_from("laptop", {}, [f"{'.'.join(map(str, path))}={word}"])


@pytest.mark.parametrize(
    "assignment",
    [
        "models.lightgbm.params.lambda_l1=NaN",
        "models.lightgbm.params.lambda_l1=1e999",
        "models.lightgbm.params.deep.er=[1, [2, -Infinity]]",
        'models.lightgbm.params={"a": {"b": NaN}}',
        'models=[{"kind": "lightgbm", "params": {"a": [1e400]}}]',
        "payout.multipliers.corr=Infinity",
        'payout.multipliers={"corr": NaN}',
        "gate.corr_bound=inf",
        "gate.max_drawdown=1e309",
        "machine.memory_mb=Infinity",
    ],
)
def test_nested_ones_neither(assignment):
    with pytest.raises(SettingsError, match=r"finite|valid integer"):
        settings_from("laptop", {}, [assignment])


def test_every_setting_is_listed_once():
    named = {".".join("NAME" if part == 0 else part for part in path) for path, _ in FIELDS}
    assert named | {"models"} == set(all_settings())
