"""A round that is not what the settings are made for is told; what cannot be read is no difference."""

from datetime import UTC, datetime

import pytest

from eraflow.numerai.roundcheck import differences
from eraflow.numerai.rounds import Round
from eraflow.settings.data import DataSettings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PAYS_60 = {"corr60": 3.0, "mmc60": 15.0}


def told(target, *, multipliers=None, mine="target_ender_60", offered=(), version="v5.3", alias=None):
    found = Round(1404, NOW, NOW, True, target, multipliers or {})
    return differences(found, DataSettings(target=mine, version=version, alias_horizon=alias), offered)


@pytest.mark.parametrize("target", ["target_ender_60", "ender_60", "ender60", "TARGET_ENDER_60", " ender_60 ", None, "",
                                    "main", "payout", "8"])  # fmt: skip
def test_the_same_target_in_other_words_and_words_that_mean_nothing_are_no_difference(target):
    assert told(target) == []
    assert told(target, multipliers=PAYS_60) == []


@pytest.mark.parametrize("target", ["target_ender_20", "ender_20", "target_cyrusd_60", "nomi20"])
def test_another_target_is_told_with_both_names(target):
    (sentence,) = told(target)
    assert target in sentence
    assert "target_ender_60" in sentence


@pytest.mark.parametrize(
    ("multipliers", "mine", "alias", "differs"),
    [
        (PAYS_60, "target_ender_20", None, True),
        (PAYS_60, "target_ender_60", None, False),
        ({"corr20": 0.75, "mmc20": 2.25}, "target_ender_60", None, True),
        ({"corr20": 0.75, "mmc60": 2.25}, "target_ender_60", None, False),
        ({"tc": 1.0}, "target_ender_60", None, False),
        (PAYS_60, "target", 20, True),
        (PAYS_60, "target", 60, False),
        (PAYS_60, "target", None, False),
    ],
)
def test_a_round_that_names_no_target_tells_the_horizon_by_what_it_pays(multipliers, mine, alias, differs):
    assert bool(told(None, multipliers=multipliers, mine=mine, alias=alias)) is differs


@pytest.mark.parametrize(
    ("offered", "version", "newest"),
    [
        (["v5.3/live.parquet", "v5.2/live.parquet"], "v5.3", ""),
        (["v5.3/live.parquet", "v5.4/live.parquet"], "v5.3", "v5.4"),
        (["v5.9/x", "v5.10/x"], "v5.9", "v5.10"),
        (["v6.0/x"], "v5.3", "v6.0"),
        (["signals/v2.1/x", "odd", ""], "v5.3", ""),
        (["v5.4/x"], "mine", ""),
        ([], "v5.3", ""),
    ],
)
def test_a_newer_data_version_is_told(offered, version, newest):
    sentences = told("target_ender_60", offered=offered, version=version)
    assert [newest in sentence for sentence in sentences] == ([True] if newest else [])
