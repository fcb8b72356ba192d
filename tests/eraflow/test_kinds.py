"""The table of kinds: everything that names a kind follows from its row."""

import subprocess
import sys

import pytest

from eraflow.kinds import KINDS, SEARCHED, USUAL, UnknownKindError, find
from eraflow.machine.estimate import COSTS
from eraflow.settings.models import ModelSettings, default_models
from models.base.libraries import missing_library
from models.base.wholeeras import needs_whole_eras
from models.kinds import count_weights, held_weights, model_class

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@every_kind
def test_the_row_says_of_the_class_what_the_class_says_of_itself(kind):
    learner = model_class(kind.name)
    assert learner.kind == kind.name
    assert learner.library == kind.library
    assert hasattr(learner, "search_ranges") == kind.searched
    assert needs_whole_eras(learner()) == kind.needs_whole_eras  # some depend on their params


@every_kind
def test_the_settings_and_the_estimate_know_every_row(kind):
    assert ModelSettings(kind=kind.name).name == kind.name
    assert COSTS[kind.name] == kind.cost
    assert missing_library(kind.name) is None


def test_the_form_offers_the_kinds_as_choices_and_a_box_for_ones_own():
    choices, own = ModelSettings.model_json_schema()["properties"]["kind"]["anyOf"]
    assert choices["enum"] == list(KINDS)
    assert (own["type"], "enum" in own) == ("string", False)


def test_what_is_usual_and_what_is_searched_are_rows():
    assert [model.kind for model in default_models()] == list(USUAL)
    assert list(SEARCHED) == [kind.name for kind in KINDS.values() if kind.searched]


def test_an_unknown_kind_is_named():
    with pytest.raises(UnknownKindError, match="'ridge'"):
        find("ridge")


def test_weights_are_those_of_the_layers():
    assert count_weights("mlp", {"hidden": [3, 2]}, 10) == 10 * 3 + 3 * 2 + 2
    assert count_weights("mlp", {"hidden": "wide"}, 10) == count_weights("mlp", {}, 10)
    assert count_weights("lightgbm", {}, 10) == 0


def test_each_network_that_seeds_add_is_kept_beside_the_one_that_is_trained():
    one, four = (held_weights("mlp", [{"seeds": seeds}], 100) for seeds in (1, 4))
    assert one == count_weights("mlp", {}, 100)
    assert four / one == pytest.approx(1 + 3 * 12 / 56, rel=1e-3)
    assert held_weights("mlp", [{"seeds": "many"}], 100) == one
    assert held_weights("lightgbm", [{"seeds": 4}], 100) == 0


@every_kind
def test_what_a_kind_takes_of_a_core_is_known(kind):
    assert kind.pace.learnt + kind.pace.learnt_column > 0
    assert kind.pace.judged + kind.pace.judged_column > 0
    assert (kind.pace.looked + kind.pace.looked_column > 0) == kind.neural


def test_reading_the_table_and_counting_weights_load_no_library():
    code = "import sys, models.kinds, eraflow.settings.run; models.kinds.count_weights('mlp', {}, 5);"
    code += "models.kinds.thread_bytes('transformer', {}, 5);"
    code += "raise SystemExit(bool({'torch', 'lightgbm', 'xgboost', 'catboost'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
