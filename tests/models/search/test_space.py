"""The spaces: what is in them, what is not, and that the libraries take every corner."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.kinds import SEARCHED
from models.kinds import make_model, model_class
from models.search.space import NotSearchedError, own_names, space_for, without

KINDS = sorted(SEARCHED)


def space(kind, given=None, rows=50_000, features=60):
    return space_for(kind, given or {}, rows=rows, features=features)


@pytest.mark.parametrize("kind", KINDS)
def test_the_library_takes_every_corner_of_the_space(kind):
    for ends in ("low", "high"):
        corner = {one.name: one.clipped(getattr(one, ends)) for one in space(kind).ranges}
        make_model(kind, {**corner, "n_estimators": 3})


@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.integers(500, 5_000_000), features=st.integers(2, 4_000))
def test_ranges_are_in_order_and_hold_the_defaults_whatever_the_size(kind, rows, features):
    for one in model_class(kind).search_ranges(0.01, rows, features):
        assert 0 < one.low < one.high
        assert one.why
        assert one.low <= one.clipped(one.default or one.low) <= one.high


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_settings_state_is_not_searched_under_any_of_its_names(kind):
    names = {one.name for one in space(kind).ranges}
    stated = space(kind, {"n_estimators": 200, "eta": 0.05, "colsample": 0.2})
    assert {one.name for one in stated.ranges} == names - own_names(kind, {"eta": 0, "colsample": 0})
    assert space(kind).length_free
    assert not stated.length_free
    assert stated.params({}, trees=50) == {"n_estimators": 200, "eta": 0.05, "colsample": 0.2}
    assert without(kind, {"learning_rate": 0.1, "max_depth": 3}, ["eta"]) == {"max_depth": 3}


def test_a_space_without_anything_to_search_is_named():
    with pytest.raises(NotSearchedError, match="no space"):
        space("mlp")
    everything = {one.name: one.clipped(one.low) for one in space("xgboost").ranges}
    with pytest.raises(NotSearchedError, match="state everything"):
        space("xgboost", everything)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_lower_bounds_rise_for_regularisers_alone_and_never_past_the_range(kind, data, shares):
    for one in model_class(kind).search_ranges(0.01, 50_000, 60):
        value = one.clipped(data.draw(st.floats(one.low, one.high)))
        lesser, greater = (one.floored(value, share) for share in sorted(shares))
        assert value <= lesser <= greater <= one.high
        assert one.regulariser or greater == value
        assert one.floored(value, 0.0) == value


def test_parameters_of_another_search_are_brought_into_the_space():
    here = space("xgboost")
    there = {one.name: one.high * 10 for one in here.ranges}
    assert here.clipped(there) == {one.name: one.clipped(one.high) for one in here.ranges}
    assert here.clipped({"max_depth": 3}) is None


def test_no_two_ranges_have_one_name():
    for kind in KINDS:
        names = [one.name for one in space(kind).ranges]
        assert all(a != b for a, b in itertools.combinations(names, 2))
