"""The probability of overfitting is about one half where nothing is to be chosen, and small where a choice holds."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm

from benchmarks.gateerrors import noise
from eraflow.scoring.overfitting import (
    MOST_BLOCKS,
    deflated_sharpe,
    distinct,
    effective_eras,
    expected_maximum,
    judge_choices,
    overfitting_probability,
)
from eraflow.scoring.scoring import EraScores


def drawn(rng, eras=330, weeks=5, count=10, shared=0.5):
    common = noise(rng, eras, weeks, regimes=False)
    own = [noise(rng, eras, weeks, regimes=False) for _ in range(count)]
    return np.stack([np.sqrt(shared) * common + np.sqrt(1 - shared) * one for one in own], axis=1)


def era_scores(values, first=1):
    return EraScores(tuple(f"{number:04d}" for number in range(first, first + len(values))), tuple(values.tolist()))


def test_the_probability_is_that_of_the_definition(monkeypatch):
    monkeypatch.setattr("eraflow.scoring.overfitting.MOST_BLOCKS", 6)
    scores = np.random.default_rng(1).standard_normal((60, 4))
    blocks = [block[1:] for block in np.array_split(scores, 6)]
    worse = []
    for chosen in combinations(range(6), 3):
        inside = np.concatenate([blocks[at] for at in chosen]).mean(axis=0)
        outside = np.concatenate([blocks[at] for at in range(6) if at not in chosen]).mean(axis=0)
        rank = 1 + (outside < outside[inside.argmax()]).sum()
        worse.append(np.log(rank / 5 / (1 - rank / 5)) <= 0)
    assert overfitting_probability(scores, 2) == pytest.approx(np.mean(worse))


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_on_nulls_it_is_one_half_on_average(shared):
    rng = np.random.default_rng(2)
    found = [overfitting_probability(drawn(rng, count=20, shared=shared), 5) for _ in range(40)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)  # standard deviation .2, so .03 of the mean
    assert min(found) < 0.3 < 0.7 < max(found)


def test_where_a_choice_holds_it_is_small_and_a_planted_overfit_is_near_one():
    rng = np.random.default_rng(3)
    scores = drawn(rng)
    assert overfitting_probability(scores + np.linspace(0, 1, 10), 5) < 0.1
    # Each is good in one block alone: whoever is best in one half owes it to that block.
    planted = 0.02 * drawn(rng, eras=320, count=MOST_BLOCKS)
    for at, block in enumerate(np.array_split(np.arange(320), MOST_BLOCKS)):
        planted[block, at] += 1.0
    assert overfitting_probability(planted, 5) > 0.9


def test_too_few_eras_for_blocks_tell_nothing():
    assert overfitting_probability(drawn(np.random.default_rng(4), eras=59), 5) is None
    assert overfitting_probability(drawn(np.random.default_rng(4), eras=60), 5) is not None


def test_the_deflated_sharpe_ratio_is_that_of_the_formula():
    rng = np.random.default_rng(5)
    scores = rng.standard_normal((400, 6)) + 0.1
    own = scores[:, 0]
    sharpe, sharpes = own.mean() / own.std(), scores.mean(axis=0) / scores.std(axis=0)
    g = np.euler_gamma
    least = sharpes.std(ddof=1) * ((1 - g) * norm.ppf(1 - 1 / 6) + g * norm.ppf(1 - 1 / (6 * np.e)))
    z = (own - own.mean()) / own.std()
    shape = 1 - np.mean(z**3) * sharpe + (np.mean(z**4) - 1) / 4 * sharpe**2
    wanted = norm.cdf((sharpe - least) * np.sqrt(effective_eras(own, 1) - 1) / np.sqrt(shape))
    assert deflated_sharpe(own, scores, 1) == pytest.approx(wanted)
    assert expected_maximum(6) == pytest.approx(np.sort(rng.standard_normal((20_000, 6)))[:, -1].mean(), abs=0.05)


def test_overlapping_eras_count_for_fewer():
    rng = np.random.default_rng(6)
    found = [effective_eras(noise(rng, 650, 13, regimes=False), 13) for _ in range(60)]
    assert np.median(found) == pytest.approx(650 / 13, rel=0.25)
    assert effective_eras(np.ones(30), 5) == 30


def test_the_best_of_twenty_worthless_ones_is_not_deflated_to_a_proof():
    rng = np.random.default_rng(7)
    found = []
    for _ in range(40):
        scores = drawn(rng, count=20, shared=0.0)
        best = scores[:, scores.mean(axis=0).argmax()]
        found.append(deflated_sharpe(best, scores, 5))
    assert np.mean(np.array(found) > 0.9) < 0.1
    assert deflated_sharpe(np.zeros(50), np.zeros((50, 2)), 5) == 0.0


def test_a_recipe_that_was_fitted_again_is_no_second_configuration():
    rng = np.random.default_rng(8)
    scores = drawn(rng, count=3)
    again = scores[:, [0]] + 0.01 * rng.standard_normal((330, 1))
    assert distinct(np.concatenate([scores, again], axis=1)).shape == (330, 3)
    judged = era_scores(scores[:, 0])
    assert judge_choices(judged, [era_scores(again[:, 0])], 5) is None
    assert judge_choices(judged, [], 5) is None
    assert judge_choices(judged, [era_scores(scores[:, 1])], 5).configurations == 2


def test_configurations_are_compared_on_common_eras_and_those_of_few_are_left_out():
    scores = drawn(np.random.default_rng(9), count=3)
    found = judge_choices(
        era_scores(scores[:, 0]), [era_scores(scores[20:, 1], first=21), era_scores(scores[200:, 2], first=201)], 5
    )
    assert (found.configurations, found.eras, found.first, found.last) == (2, 310, "0021", "0330")
