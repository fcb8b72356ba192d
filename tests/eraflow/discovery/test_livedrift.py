"""Features that break in the live era are named; in ordinary weeks hardly any is, whatever their dependence."""

import numpy as np
import pytest

from eraflow.discovery.livedrift import TooFewPastErasError, behaviour, directions, unlike_before
from tests.eraflow.discovery.worlds import five_bins

ROWS, FEATURES, ERAS = 300, 24, 120
NAMES = [f"feature_{place}" for place in range(FEATURES)]


class World:
    """Features that move with three common causes, their past eras, and how they behave in them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.loadings = self.rng.standard_normal((3, FEATURES))
        codes = [self.live() for _ in range(ERAS)]
        self.along = directions(np.concatenate(codes))
        self.past = np.stack([behaviour(each, self.along) for each in codes])

    def live(self):
        causes, own = self.rng.standard_normal((ROWS, 3)), self.rng.standard_normal((ROWS, FEATURES))
        return five_bins(causes @ self.loadings + 0.7 * own)

    def named(self, codes, rate=0.01):
        return unlike_before(self.past, behaviour(codes, self.along), len(codes), NAMES, rate)


@pytest.fixture(scope="module")
def world():
    return World(3)


BREAKS = {
    "turned round": lambda codes, rng: 4 - codes,
    "constant": lambda codes, rng: np.full_like(codes, 2),
    "half missing": lambda codes, rng: np.where(rng.random(len(codes)) < 0.5, 2, codes).astype(np.int8),
    "shifted": lambda codes, rng: np.minimum(codes + 1, 4),
    "another order of the rows": lambda codes, rng: rng.permutation(codes),
}


@pytest.mark.parametrize("kind", BREAKS)
@pytest.mark.parametrize("place", [0, 7, 23])
def test_a_feature_that_breaks_is_named_first(kind, place, world):
    codes = world.live()
    codes[:, place] = BREAKS[kind](codes[:, place], world.rng)
    found = world.named(codes)
    assert found, "nothing is named"
    assert found[0].feature == NAMES[place]
    assert found[0].p_value <= 0.01
    assert found[0].score > 1


def test_in_ordinary_weeks_any_feature_at_all_is_named_at_the_stated_rate():
    """5 % of the weeks, not 5 % of the features."""
    weeks = [bool(world.named(world.live(), 0.05)) for world in map(World, range(6)) for _ in range(60)]
    assert 0.02 < np.mean(weeks) < 0.09


def test_the_order_of_the_past_eras_does_not_matter(world):
    codes = world.live()
    codes[:, 5] = 4 - codes[:, 5]
    live = behaviour(codes, world.along)
    one, other = (unlike_before(past, live, ROWS, NAMES, 0.01) for past in (world.past, world.past[::-1]))
    assert one == other


def test_a_rate_that_so_few_eras_cannot_prove_is_refused(world):
    with pytest.raises(TooFewPastErasError, match="120 past eras, 199 are needed"):
        world.named(world.live(), 0.005)


def test_what_does_not_vary_has_no_correlation():
    codes = np.full((50, 3), 2, dtype=np.int8)
    codes[:, 0] = np.arange(50) % 5
    found = behaviour(codes, directions(codes))
    assert np.isfinite(found).all()
    assert (found[1:, 2] == 1).all()
    assert (found[1:, 5:] == 0).all()
