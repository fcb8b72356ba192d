"""Looking at a network while it is trained, and stopping it."""

import numpy as np
import pytest

from models.base.wholeeras import FitEras
from tests.models.networks.mlpfits import digest, fit, mlp
from tests.models.planted import PLAN

SMALL = {"updates": 24, "dropout": 0.5}


class Watch:
    def __init__(self, looks, x, stop_at=None):
        self.looks, self._x, self._stop_at, self.seen = looks, x[:300], stop_at, []

    def __call__(self, updates, model):
        self.seen.append((updates, model.predict(self._x)))
        return updates == self._stop_at


def test_a_look_changes_nothing_and_sees_the_weights_of_then(data):
    watch = Watch((8, 16, 24), data[0])
    looked_at = mlp(**SMALL)
    looked_at.fit(*data, plan=PLAN, seed=3, watch=watch)
    assert digest(looked_at) == digest(fit(data, **SMALL))
    assert [updates for updates, _ in watch.seen] == [8, 16, 24]
    first, second, last = (values for _, values in watch.seen)
    assert np.array_equal(last, looked_at.predict(data[0][:300]))
    assert not np.array_equal(first, second)
    stopped = mlp(**SMALL)
    stopped.fit(*data, plan=PLAN, seed=3, watch=(early := Watch((8, 16, 24), data[0], stop_at=16)))
    assert [updates for updates, _ in early.seen] == [8, 16]
    assert np.array_equal(early.seen[-1][1], second)
    assert np.array_equal(stopped.predict(data[0][:300]), second)  # the weights are those of 16 updates


def test_where_its_own_eras_stop_it_the_looks_that_are_left_see_what_comes_out(data):
    x, y = data
    eras = FitEras(np.arange(0, len(x) + 1, 100), np.arange(len(x) // 100), 0)
    model = mlp(**SMALL | {"validation_share": 0.4, "check_every": 1, "patience": 1, "learning_rate": 0.3})
    model.fit(x, y, plan=PLAN, seed=3, eras=eras, watch=(watch := Watch((20, 24), x)))
    assert model.trained_with["updates"] < 20
    assert [updates for updates, _ in watch.seen] == [20, 24]
    assert all(np.array_equal(values, model.predict(x[:300])) for _, values in watch.seen)


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_network_is_looked_at_whatever_the_seeds(data, seeds):
    model = mlp(**SMALL, seeds=seeds)
    model.fit(*data, plan=PLAN, seed=3, watch=Watch((24,), data[0]))
    assert digest(model) == digest(fit(data, **SMALL))
    assert model.trained_with["updates"] == 24
