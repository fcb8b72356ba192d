"""The search for invariant features: what it computes is least squares, and what it keeps is what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eraflow.discovery.moments as moments_module
from eraflow.discovery.association import DiscoveryDataError, corr_target
from eraflow.discovery.invariance import given_all_others, partial_out, partials, search, variances
from eraflow.discovery.moments import Moments, cut_windows, era_covariances, gather
from tests.eraflow.discovery.worlds import TARGET, draw, overlapping_noise, store_of


def moments_of(x, y, environments=4, overlap=5):
    """Moments of x int8[eras, rows, features] and y float[eras, rows], without a store."""
    cells = cut_windows(len(x), environments, overlap)
    found = Moments(cells, np.zeros((len(cells.eras), *[x.shape[2]] * 2)), np.zeros((len(cells.eras), x.shape[2])))
    for era, cell in enumerate(cells.of_era):
        xx, xy = era_covariances(x[era], corr_target(y[era]))
        found.xx[cell] += xx / cells.eras[cell]
        found.xy[cell] += xy / cells.eras[cell]
    return found


def by_least_squares(x, y, feature, others):
    """The coefficient of a feature in each environment's regression of the target on it and `others`."""
    cells = cut_windows(len(x), 4, 5)
    environment = cells.environment[cells.of_era]
    result = []
    for number in range(cells.environments):
        eras = np.flatnonzero(environment == number)
        design, target = [], []
        for era in eras:
            # Each era counts within its cell by the mean: weights as in the moments.
            weight = np.sqrt(1 / cells.eras[cells.of_era[era]])
            codes = x[era][:, [feature, *others]].astype(float)
            design.append(weight * (codes - codes.mean(axis=0)))
            target.append(weight * corr_target(y[era]))
        result.append(np.linalg.lstsq(np.vstack(design), np.concatenate(target), rcond=None)[0][0])
    return np.array(result)


def correlated(z):
    z[:, 1] = 0.6 * z[:, 0] + 0.8 * z[:, 1]
    z[:, 3] = 0.9 * z[:, 2] + np.sqrt(0.19) * z[:, 3]
    return z


@pytest.fixture(scope="module")
def small():
    return draw(np.tile([0.2, -0.1, 0.3], (60, 1)), features=6, rows=80, latent=correlated)


def test_partial_coefficients_are_those_of_least_squares_in_each_environment(small):
    x, y = small
    moments = moments_of(x, y)
    original = variances(moments.xx)
    whole = Moments(moments.cells, moments.xx.astype(np.float32), moments.xy.copy())
    for chosen in (2, 0):
        partial_out(moments, chosen, original)
    found = partials(moments.cells, variances(moments.xx), moments.xy, original)
    for feature in (1, 3, 4, 5):
        wanted = by_least_squares(x, y, feature, [2, 0])
        np.testing.assert_allclose(found.by_environment[:, feature], wanted, atol=1e-6)
    assert found.statistic[2] == found.statistic[0] == 0, "nothing is left of the chosen ones"
    backwards = given_all_others(whole, [2, 0, 1])
    for place, (feature, others) in enumerate([(2, [0, 1]), (0, [2, 1]), (1, [2, 0])]):
        np.testing.assert_allclose(
            backwards.by_environment[:, place], by_least_squares(x, y, feature, others), atol=1e-5
        )
    np.testing.assert_allclose(backwards.statistic[2], found.statistic[1], rtol=1e-3)
    np.testing.assert_allclose(backwards.environment_p[2], found.environment_p[1], atol=1e-3)


def test_gathering_from_a_store_is_the_same_and_independent_of_threads(small, tmp_path):
    x, y = small
    store = store_of(x, y, tmp_path / "store")
    cells = cut_windows(60, 4, 5)
    picked = np.array([0, 2, 5])
    wanted = moments_of(x[:, :, picked], y)
    one, two = (gather(store, TARGET, store.eras, picked, cells, threads=threads) for threads in (1, 2))
    np.testing.assert_allclose(one.xx, wanted.xx, atol=1e-6)
    np.testing.assert_allclose(one.xy, wanted.xy, atol=1e-6)
    assert one.xx.tobytes() == two.xx.tobytes()
    assert one.xy.tobytes() == two.xy.tobytes()


def test_exact_copies_are_gone_whatever_rounding_leaves_of_them(small):
    x, y = small
    moments = moments_of(np.concatenate([x, x[:, :, :3]], axis=2), y)
    original = variances(moments.xx)
    kept = original.copy()
    for chosen in (0, 1, 2):
        partial_out(moments, chosen, original)
    np.testing.assert_array_equal(original, kept)
    found = partials(moments.cells, variances(moments.xx), moments.xy, original)
    assert (found.p_value[[0, 1, 2, 6, 7, 8]] == 1).all()
    assert np.isnan(found.by_environment[:, [0, 6]]).all()


def halves(eras, first, second):
    return np.where(np.arange(eras) < eras // 2, first, second)


@pytest.mark.parametrize("seed", range(3))
def test_what_flips_or_fades_is_not_chosen_and_what_is_stable_is(seed):
    """Features 0 and 2 are stable, 1 changes its sign at half-time, 3 keeps it and fades."""
    eras = 160
    coefficients = np.stack(
        [np.full(eras, 0.15), halves(eras, 0.3, -0.15), np.full(eras, -0.12), halves(eras, 0.3, 0.06)], axis=1
    )
    x, y = draw(coefficients, features=8, rows=150, seed=seed)
    found = search(moments_of(x, y), rate=0.1, level=0.02)
    assert {0, 2} <= set(found.chosen)
    assert not {1, 3} & set(found.chosen)
    assert 3 in found.aside
    assert max(found.environment_p[[1, 3]]) < 0.01


def test_a_copy_of_what_flips_is_not_chosen_either():
    eras = 160

    def copy(z):
        z[:, 3] = z[:, 1] + 0.5 * z[:, 3]
        return z

    coefficients = np.stack([np.full(eras, 0.15), halves(eras, 0.4, -0.1)], axis=1)
    x, y = draw(coefficients, features=6, rows=150, seed=5, latent=copy)
    found = search(moments_of(x, y), rate=0.1, level=0.05)
    assert found.chosen == [0]
    assert max(found.environment_p[[1, 3]]) < 0.01


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_copies_are_dropped_once_the_original_is_known(noise):
    """Features 2 to 5 are copies of feature 0, exact or noisy; feature 1 carries something of its own."""

    def copies(z):
        for place in range(2, 6):
            z[:, place] = z[:, 0] + noise * z[:, place]
        return z

    x, y = draw(np.tile([0.25, 0.15], (120, 1)), features=8, rows=200, seed=4, latent=copies)
    found = search(moments_of(x, y), rate=0.05, level=0.01)
    group = {0, 2, 3, 4, 5}
    assert 1 in found.chosen
    assert len(group & set(found.chosen)) == 1
    if noise:
        assert 0 in found.chosen


def test_one_that_was_put_aside_does_not_bring_in_its_neighbours():
    """Feature 0 fades; 2 to 6 carry nothing but are correlated with it, and 1 is correlated and stable."""
    eras = 160

    def neighbours(z):
        for place in (1, 2, 3, 4, 5, 6):
            z[:, place] = 0.6 * z[:, 0] + 0.8 * z[:, place]
        return z

    coefficients = np.stack([halves(eras, 0.5, 0.1), np.full(eras, 0.15)], axis=1)
    x, y = draw(coefficients, features=9, rows=150, seed=1, latent=neighbours)
    found = search(moments_of(x, y), rate=0.05, level=0.02)
    assert found.chosen == [1]
    assert 0 in found.aside
    assert found.environment_p[0] < 0.01 < found.environment_p[1]


def test_equality_holds_its_level_under_overlapping_noise():
    """A constant coefficient, with noise that overlapping labels share, is called varying about as often as stated."""
    values = []
    for seed in range(120):
        noise = overlapping_noise(120, 10, 5, 0.1, seed=seed)
        cells = cut_windows(120, 4, 5)
        per_cell = np.zeros((len(cells.eras), 10))
        np.add.at(per_cell, cells.of_era, 0.1 + noise + 0.05 * np.random.default_rng(seed).standard_normal((120, 10)))
        per_cell /= cells.eras[:, None]
        ones = np.ones_like(per_cell)
        values.append(partials(cells, ones, per_cell, ones).environment_p)
    share = np.mean(np.array(values) < 0.05)
    assert 0.01 < share < 0.1


def test_a_feature_known_in_one_environment_only_is_not_chosen():
    x, y = draw(np.tile([0.3, 0.3], (120, 1)), features=4, rows=150, seed=2)
    x[:95, :, 1] = 2
    found = search(moments_of(x, y), rate=0.1, level=0.05)
    assert found.chosen == [0]
    assert found.aside == [1]
    assert np.isnan(found.environment_p[1])


def test_a_feature_missing_in_one_environment_is_tested_on_the_others():
    x, y = draw(np.tile([0.3, 0.3], (120, 1)), features=4, rows=150, seed=3)
    x[:35, :, 1] = 2
    found = search(moments_of(x, y), rate=0.1, level=0.01)
    assert set(found.chosen) == {0, 1}


def test_no_more_than_allowed_are_chosen():
    x, y = draw(np.tile([0.3, 0.25, 0.2, 0.15], (120, 1)), features=6, rows=150)
    found = search(moments_of(x, y), rate=0.1, level=0.001, most=2)
    assert len(found.chosen) == 2
    assert found.full


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 700), st.integers(2, 12), st.sampled_from([1, 2, 5, 13]))
def test_cells_and_environments_cover_the_eras_in_order(eras, environments, overlap):
    cells = cut_windows(eras, environments, overlap) if eras >= 4 * max(overlap, 1) else None
    if cells is None:
        with pytest.raises(DiscoveryDataError, match="too few"):
            cut_windows(eras, environments, overlap)
        return
    assert (np.diff(cells.of_era) >= 0).all()
    assert (np.diff(cells.environment) >= 0).all()
    assert cells.eras.sum() == eras
    assert cells.eras.max() <= -(-overlap // moments_module.CELLS_PER_OVERLAP) * 2
    assert 2 <= cells.environments <= environments
    sizes = np.bincount(cells.environment, weights=cells.eras)
    assert sizes.max() - sizes.min() <= 1
    assert sizes.min() >= 2 * overlap
