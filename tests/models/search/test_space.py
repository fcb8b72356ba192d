"""The spaces: what is in them, what is not, and that the libraries take every corner."""

import itertools
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.kinds import KINDS as ROWS
from eraflow.kinds import SEARCHED
from models.base.ranges import Range
from models.kinds import make_model, model_class
from models.search.space import NotSearchedError, largest_params, own_names, space_for, without

KINDS = sorted(SEARCHED)
NETWORKS = [kind for kind in KINDS if ROWS[kind].neural]
BOOSTERS = [kind for kind in KINDS if not ROWS[kind].neural]


def space(kind, given=None, rows=50_000, features=60):
    return space_for(kind, given or {}, rows=rows, features=features)


@cache
def usual(kind):
    return make_model(kind).params


def ranges(kind, rows=50_000, features=60):
    return model_class(kind).search_ranges(usual(kind), rows, features)


@pytest.mark.parametrize("kind", KINDS)
def test_the_library_takes_every_corner_of_the_space(kind):
    here = space(kind)
    for ends in ("low", "high"):
        corner = {one.name: one.clipped(getattr(one, ends)) for one in here.ranges}
        make_model(kind, {**here.params(corner), model_class(kind).length_name: 3})


@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.integers(500, 5_000_000), features=st.integers(2, 4_000))
def test_ranges_are_in_order_and_hold_the_defaults_whatever_the_size(kind, rows, features):
    for one in ranges(kind, rows, features):
        assert (0 < one.low < one.high) if one.log else (0 <= one.low < one.high)
        assert one.why
        assert one.low <= one.clipped(one.default or one.low) <= one.high
        assert one.low % one.multiple == one.high % one.multiple == 0 or one.multiple == 1


@pytest.mark.parametrize("kind", BOOSTERS)
def test_what_the_settings_state_is_not_searched_under_any_of_its_names(kind):
    names = {one.name for one in space(kind).ranges}
    stated = space(kind, {"n_estimators": 200, "eta": 0.05, "colsample": 0.2})
    assert {one.name for one in stated.ranges} == names - own_names(kind, {"eta": 0, "colsample": 0})
    assert space(kind).length_free
    assert not stated.length_free
    assert stated.params({}, length=50) == {"n_estimators": 200, "eta": 0.05, "colsample": 0.2}
    assert without(kind, {"learning_rate": 0.1, "max_depth": 3}, ["eta"]) == {"max_depth": 3}


@pytest.mark.parametrize("kind", NETWORKS)
def test_of_networks_the_updates_are_searched_and_nothing_is_kept_back_to_stop_by(kind):
    here = space(kind)
    assert {"updates", "learning_rate", "weight_decay", "dropout", "correlation_share"} <= {
        one.name for one in here.ranges
    }
    assert not here.length_free
    found = {name: value for name, value in here.defaults().items() if name != "updates"} | {"updates": 90}
    made = here.params(found)
    assert (made["validation_share"], here.length_of(made)) == (0.0, 90)
    assert here.params({}) == {}  # the defaults stay as they are
    stated = space(kind, {"updates": 40, "validation_share": 0.2})
    assert "updates" not in {one.name for one in stated.ranges}
    assert stated.params(stated.defaults())["validation_share"] == 0.2
    assert stated.length_of(stated.params(stated.defaults())) == 40


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_starting_points_of_a_network_lie_in_its_space(kind):
    here, points = space(kind), space(kind).starting_points()
    assert 2 <= len(points) <= 5
    assert all(one.low <= point[one.name] <= one.high for point in points for one in here.ranges)
    assert len({tuple(point.items()) for point in points}) == len(points)
    for point in points:
        make_model(kind, here.params(point))


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_memory_is_reckoned_for_the_largest_network_of_the_space(kind):
    largest = largest_params(kind, {}, rows=50_000, features=60)
    for one in space(kind).ranges:
        assert largest[one.name] == one.as_param(one.clipped(one.high))
    assert largest_params("lightgbm", {"max_depth": 3}, rows=50_000, features=60) == {"max_depth": 3}


def test_a_list_a_multiple_and_a_switch_are_made_of_numbers():
    sizes = Range("hidden", 16, 64, "why", integer=True, repeated=2)
    assert sizes.as_param(sizes.clipped([80, 80])) == [64, 64]
    width = Range("width", 16, 96, "why", integer=True, multiple=4)
    assert [width.used(value) for value in (16, 17, 19, 96)] == [16, 16, 20, 96]
    share = Range("share", 0.0, 1.0, "why", log=False, zero_below=0.2)
    assert [share.used(value) for value in (0.0, 0.19, 0.2, 0.7)] == [0.0, 0.0, 0.2, 0.7]


def test_what_decides_only_sometimes_is_searched_only_then():
    def names(**params):
        return {one.name for one in space("transformer", params).ranges}

    assert not {"tokens", "points"} & names()
    assert "tokens" in names(groups="correlated")
    assert "points" in names(across="era")
    assert "neighbours" not in {one.name for one in space("gin", {"edges": "none"}).ranges}
    wide = space("transformer", {"heads": 6})
    assert all(point["width"] % 6 == 0 for point in wide.starting_points())


def test_a_space_without_anything_to_search_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("class Mine:\n    pass\n")
    with pytest.raises(NotSearchedError, match="no space"):
        space(f"{tmp_path}/mine.py:Mine")
    everything = {one.name: one.clipped(one.low) for one in space("xgboost").ranges}
    with pytest.raises(NotSearchedError, match="state everything"):
        space("xgboost", everything)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_lower_bounds_rise_for_regularisers_alone_and_never_past_the_range(kind, data, shares):
    for one in ranges(kind):
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
    net = space("mlp")
    kept = net.params({**net.defaults(), "hidden": 100})
    assert kept["hidden"] == [100, 100]
    assert net.clipped(kept) == {**net.defaults(), "hidden": 100}  # what was kept opens the next search


def test_no_two_ranges_have_one_name():
    for kind in KINDS:
        names = [one.name for one in space(kind).ranges]
        assert all(a != b for a, b in itertools.combinations(names, 2))
