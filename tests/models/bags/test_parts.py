"""The fits of a bag: offsets divide the eras, and what a part is, is told by its numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.data.memberbag import Bag, FeatureSet, FitRecipe
from models.bags.parts import BagPart, parts_of, target_of, used_columns, work_of


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 6),
)
def test_the_offsets_of_a_step_divide_the_known_eras(eras, step):
    sizes = [rows for rows, _ in eras]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    y = np.concatenate([np.full(rows, 0.5 if known else np.nan, np.float32) for rows, known in eras])
    known = sum(rows > 0 and told for rows, told in eras)
    parts = [BagPart(number, {}, None, step, number) for number in range(step)]
    if 0 < known < step or (known == 0 and step > 1):
        return
    learnt = np.array([~np.isnan(target_of(part, y, offsets)) for part in parts])
    np.testing.assert_array_equal(learnt.sum(axis=0), ~np.isnan(y))
    counts = [len({int(np.searchsorted(offsets, row, "right")) for row in np.flatnonzero(one)}) for one in learnt]
    assert max(counts) - min(counts) <= 1


def test_a_part_learns_from_whole_eras_in_their_order():
    offsets, y = np.arange(0, 21, 2), np.arange(20, dtype=np.float32)
    y[4:6] = np.nan  # an era without targets is not counted
    second = target_of(BagPart(0, {}, None, 3, 1), y, offsets)
    assert np.flatnonzero(~np.isnan(second)).tolist() == [2, 3, 10, 11, 16, 17]
    assert second.dtype == np.float32


def test_parts_are_numbered_set_by_set_recipe_by_recipe():
    bag = Bag((FitRecipe({"a": 1}), FitRecipe({"a": 2}, 2)), (FeatureSet("run"), FeatureSet("some", ("x",))))
    parts = parts_of(bag, {"run": None, "some": (4,)})
    assert [(part.number, part.params["a"], part.offset, part.columns) for part in parts] == [
        (0, 1, 0, None), (1, 2, 0, None), (2, 2, 1, None), (3, 1, 0, (4,)), (4, 2, 0, (4,)), (5, 2, 1, (4,)),
    ]  # fmt: skip
    assert bag.fits == len(parts)
    assert used_columns(parts) is None
    assert used_columns(parts[3:]) == (4,)


def test_seeds_differ_and_the_first_is_that_of_the_bag():
    seeds = [BagPart(number, {}).seed(7) for number in range(20)]
    assert seeds[0] == 7
    assert len(set(seeds)) == 20


@pytest.mark.parametrize(("neural", "of_step_one"), [(False, 4.0), (True, 1.0)])
def test_a_booster_works_less_on_fewer_rows_a_network_does_not(neural, of_step_one):
    whole, quarter = (work_of(BagPart(0, {"n_estimators": 100}, None, step), 10, neural=neural) for step in (1, 4))
    assert whole / quarter == of_step_one
