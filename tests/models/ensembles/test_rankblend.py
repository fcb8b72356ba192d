import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, rankdata

from eraflow.machine.failures import StageNaN
from eraflow.scoring.ranking import EraGroups, ScoreInputError
from models.ensembles.rankblend import neutralised_blend, rank_gaussian_blend


@st.composite
def members_and_groups(draw):
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    k = draw(st.integers(1, 4))
    values = st.integers(-20, 20).map(lambda value: value / 4)  # ties are likely
    return draw(arrays(np.float64, (sum(sizes), k), elements=values)), EraGroups.from_sizes(sizes)


def era_by_era(members, groups):
    parts = []
    for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        era = members[start:stop]
        parts.append(np.mean([norm.ppf((rankdata(column) - 0.5) / len(era)) for column in era.T], axis=0))
    return np.concatenate(parts)


@given(members_and_groups())
@settings(max_examples=60, deadline=None)
def test_it_is_the_mean_of_gaussian_ranks_era_by_era(case):
    np.testing.assert_allclose(rank_gaussian_blend(*case), era_by_era(*case), atol=1e-12)


@given(members_and_groups())
@settings(max_examples=60, deadline=None)
def test_one_member_keeps_its_ranks_and_ties(case):
    members, groups = case
    blend = rank_gaussian_blend(members[:, 0], groups)
    for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        np.testing.assert_array_equal(rankdata(blend[start:stop]), rankdata(members[start:stop, 0]))


@given(members_and_groups(), st.sampled_from([np.exp, np.cbrt, lambda v: 1000 * v - 7, lambda v: v**3 + v]))
@settings(max_examples=60, deadline=None)
def test_the_scale_of_a_member_does_not_matter(case, transform):
    members, groups = case
    moved = members.copy()
    moved[:, 0] = transform(moved[:, 0])
    np.testing.assert_array_equal(rank_gaussian_blend(moved, groups), rank_gaussian_blend(members, groups))


def plain_mean(members, groups):
    """The mean without weights, as numpy adds and divides."""
    total = np.zeros(groups.n_rows)
    for column in members.T:
        total += rank_gaussian_blend(column, groups)
    return total / members.shape[1]


@given(members_and_groups())
@settings(max_examples=60, deadline=None)
def test_equal_weights_are_the_plain_mean_to_the_last_bit(case):
    members, groups = case
    equal = np.full(members.shape[1], 1 / members.shape[1])
    np.testing.assert_array_equal(rank_gaussian_blend(members, groups, equal), plain_mean(members, groups))
    np.testing.assert_array_equal(rank_gaussian_blend(members, groups), plain_mean(members, groups))


@given(members_and_groups(), st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda each: each[0] > 1e-3))
@settings(max_examples=60, deadline=None)
def test_weights_are_those_of_the_mean(case, weights):
    members, groups = case
    used = np.array(weights[: members.shape[1]])
    single = np.stack([rank_gaussian_blend(column, groups) for column in members.T], axis=1)
    blend = rank_gaussian_blend(members, groups, used)
    np.testing.assert_allclose(blend, np.average(single, axis=1, weights=used), atol=1e-12)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -0.5], [0.0, 0.0], [1.0, np.nan], [1.0, np.inf], [[0.5], [0.5]]])
def test_weights_that_do_not_fit_are_an_error(weights):
    with pytest.raises(ScoreInputError, match="2 members"):
        rank_gaussian_blend(np.ones((4, 2)), EraGroups.from_sizes([4]), np.array(weights))


@given(members_and_groups(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_members_does_not_matter(case, random):
    members, groups = case
    columns = list(range(members.shape[1]))
    random.shuffle(columns)
    blend = rank_gaussian_blend(members[:, columns], groups)
    np.testing.assert_allclose(blend, rank_gaussian_blend(members, groups), atol=1e-12)


def test_the_order_of_the_eras_does_not_matter():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 2)), rng.normal(size=(8, 2))
    both = rank_gaussian_blend(np.concatenate([a, b]), EraGroups.from_sizes([5, 8]))
    swapped = rank_gaussian_blend(np.concatenate([b, a]), EraGroups.from_sizes([8, 5]))
    np.testing.assert_array_equal(both, np.concatenate([swapped[8:], swapped[:8]]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_member_without_a_prediction_is_an_error(bad):
    members = np.ones((4, 2))
    members[2, 1] = bad
    with pytest.raises(StageNaN, match="member 1"):
        rank_gaussian_blend(members, EraGroups.from_sizes([4]))


def test_rows_must_be_those_of_the_groups():
    with pytest.raises(ScoreInputError):
        rank_gaussian_blend(np.ones((4, 2)), EraGroups.from_sizes([3]))
    with pytest.raises(ScoreInputError):
        rank_gaussian_blend(np.ones((4, 0)), EraGroups.from_sizes([4]))


def test_no_rows_give_no_predictions():
    assert rank_gaussian_blend(np.empty((0, 3)), EraGroups.from_sizes([])).shape == (0,)


def test_neutralising_nothing_keeps_the_blend_and_reads_no_features():
    groups = EraGroups.from_sizes([4, 3])
    blend = rank_gaussian_blend(np.random.default_rng(0).normal(size=(7, 2)), groups)

    def unwanted(era):
        raise AssertionError(era)

    np.testing.assert_array_equal(neutralised_blend(blend, groups, unwanted, 0.0), blend)


def test_neutralising_asks_for_each_era_once_and_in_order_and_tells_how_far_it_is():
    groups, asked, told = EraGroups.from_sizes([40, 30, 50]), [], []
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, 5, (size, 4)).astype(np.int8) for size in groups.sizes]
    blend = rank_gaussian_blend(rng.normal(size=(120, 2)), groups)

    def codes_of(era):
        asked.append(era)
        return codes[era]

    result = neutralised_blend(blend, groups, codes_of, 0.7, progress=lambda *at: told.append(at))
    assert asked == [0, 1, 2]
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert np.isfinite(result).all()
    assert (result != blend).all()
