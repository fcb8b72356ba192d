"""What to drop when a model does not fit, and what a validation would take."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eraflow.rehearsal.confinedrun import Room
from eraflow.rehearsal.whatfits import eras_that_fit, fewest_to_drop, next_eras, validation_needs

AMOUNTS = st.fixed_dictionaries({"cpu_seconds": st.floats(0, 500), "memory_mb": st.floats(0, 3000)})


def whole(members):
    return {
        "cpu_seconds": 4 + sum(told["cpu_seconds"] for told in members.values()),
        "memory_mb": 390 + sum(told["memory_mb"] for told in members.values()),
        "members": members,
    }


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=3), AMOUNTS, min_size=1, max_size=6))
@hypothesis_settings(deadline=None)
def test_what_is_left_fits_or_is_one_member(members):
    dropped = fewest_to_drop(whole(members), Room())
    left = whole({name: told for name, told in members.items() if name not in dropped})
    fits = left["cpu_seconds"] <= 600 and left["memory_mb"] <= 4096
    assert fits or len(left["members"]) == 1
    if whole(members)["cpu_seconds"] <= 600 and whole(members)["memory_mb"] <= 4096:
        assert dropped == []


def test_the_most_expensive_goes_first_and_alone_where_that_is_enough():
    members = {"gin": {"cpu_seconds": 400, "memory_mb": 10}, "mlp": {"cpu_seconds": 150, "memory_mb": 10}}
    members["lightgbm"] = {"cpu_seconds": 100, "memory_mb": 900}
    assert fewest_to_drop(whole(members), Room()) == ["gin"]
    assert fewest_to_drop(whole(members), Room(memory_mb=600, seconds=10_000)) == ["lightgbm"]


def test_what_took_longer_than_expected_is_believed():
    members = {"a": {"cpu_seconds": 100, "memory_mb": 1}, "b": {"cpu_seconds": 200, "memory_mb": 1}}
    assert fewest_to_drop(whole(members), Room()) == []
    assert fewest_to_drop(whole(members), Room(), seconds=700) == ["b"]


def test_the_number_of_eras_doubles_until_it_cannot():
    assert next_eras(2, 64, {"time": 100, "memory": 40}) == 4
    assert next_eras(32, 64, {"time": 100, "memory": 40}) is None
    assert next_eras(4, 6, {"time": 100, "memory": 40}) == 6
    assert next_eras(6, 6, {"time": 100, "memory": 40}) is None


def test_the_validation_is_a_line_through_what_was_measured():
    live = {"seconds": 14.0, "peak_mb": 450.0, "rows": 7000, "eras": 1}
    many = {"seconds": 44.0, "peak_mb": 600.0, "eras": 4}
    needs = validation_needs(live, many, eras_that_fit(live, many, Room()))
    assert needs["eras"] == 591
    assert needs["calls"] == 11
    assert needs["seconds"] == pytest.approx(591 * 10 + 11 * 4)
