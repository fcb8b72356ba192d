"""What is neutralised is settled before any training, and in words that say what to do."""

from types import SimpleNamespace

import pytest

from eraflow.data.catalog import Catalog, UnknownFeatureSetError
from eraflow.errors import SettingsError
from eraflow.scoring.neutralise import Neutralisation
from eraflow.settings.run import RunSettings
from tasks.blend import chosen_neutralisation

FEATURES = ("feature_c", "feature_a", "feature_b")


@pytest.fixture
def chosen():
    sets = {"medium": list(FEATURES), "some": ["feature_b", "feature_c"], "wide": ["feature_a", "feature_z"]}
    catalog = Catalog({name: tuple(features) for name, features in sets.items()}, ())
    data = SimpleNamespace(catalog=catalog, contract=SimpleNamespace(features=FEATURES))
    return lambda **blend: chosen_neutralisation(SimpleNamespace(settings=RunSettings(blend=blend)), data)


def test_nothing_is_neutralised_unless_asked(chosen):
    assert chosen().proportion == 0
    assert chosen().features == FEATURES  # what the table of proportions is about


def test_all_features_or_a_set_of_them_in_the_order_of_the_store(chosen):
    assert chosen(neutralise=0.5) == Neutralisation(0.5, FEATURES)
    some = chosen(neutralise=1, neutralise_features="some")
    assert some == Neutralisation(1.0, ("feature_c", "feature_b"))


@pytest.mark.parametrize("proportion", [0, 0.5])
def test_a_set_that_is_not_there_or_wider_than_the_run_is_refused(chosen, proportion):
    with pytest.raises(UnknownFeatureSetError, match="to one of these, or leave it empty"):
        chosen(neutralise=proportion, neutralise_features="none")
    with pytest.raises(SettingsError, match="feature_z"):
        chosen(neutralise=proportion, neutralise_features="wide")
