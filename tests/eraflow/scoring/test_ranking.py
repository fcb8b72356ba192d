"""Ranks within eras, and arrays that do not fit the eras."""

import numpy as np
import pytest

from eraflow.scoring.exposure import era_fnc
from eraflow.scoring.metrics import SortedPredictions, era_corr
from eraflow.scoring.ranking import EraGroups, ScoreInputError
from tests.eraflow.scoring.drawnweeks import drawn_values

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::scipy.stats.ConstantInputWarning")


@pytest.mark.parametrize("sizes", [[3, 3, 3], [1, 2, 9], [1000, 1, 1, 1, 1, 1, 1, 1], [0, 4, 0]])
@pytest.mark.parametrize("kind", ["extreme", "ties", "close"])
def test_every_way_of_sorting_gives_the_same_ranks(sizes, kind):
    groups = EraGroups.from_sizes(sizes)
    values = drawn_values(np.random.default_rng(7), kind, groups.n_rows)
    order = SortedPredictions(values, groups).orders[0]
    ranks = np.empty(groups.n_rows)
    ranks[order.rows] = order.ranks()
    for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        era = values[start:stop]
        expected = [(era < x).sum() + ((era == x).sum() + 1) / 2 for x in era]
        np.testing.assert_array_equal(ranks[start:stop], expected)


def test_arrays_that_do_not_fit_are_refused():
    groups = EraGroups.from_labels(["0001", "0001", "0002"])
    assert groups.sizes.tolist() == [2, 1]
    with pytest.raises(ScoreInputError, match="target of shape"):
        era_corr(np.zeros(3), np.zeros(2), groups)
    with pytest.raises(ScoreInputError, match="predictions of shape"):
        era_corr(np.zeros(4), np.zeros(3), groups)
    with pytest.raises(ScoreInputError, match="scattered"):
        EraGroups.from_labels(["0001", "0002", "0001"])
    with pytest.raises(ScoreInputError, match="features of shape"):
        era_fnc(np.zeros(3), np.zeros((2, 1), dtype=np.int8), np.zeros(3), groups)
    with pytest.raises(ScoreInputError, match="NaN"):
        era_fnc(np.arange(3.0), np.full((3, 1), np.nan), np.zeros(3), groups)
