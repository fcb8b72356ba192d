"""The judgement: noise is merged about as seldom as the bound says, a better model is, and the overlap counts weeks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from models.base.wholeeras import FitEras

pytest.importorskip("torch")
judgement = pytest.importorskip("models.networks.adaptationjudgement")
RowsOfEras = pytest.importorskip("models.networks.adaptationrows").RowsOfEras

ERAS, ROWS = 52, 40


@dataclass
class Given:
    """A model whose predictions are known: row i of x is told by its number in the two codes."""

    values: np.ndarray

    def predict(self, x, *, plan=None):
        return self.values[x[:, 0].astype(int) * ROWS + x[:, 1]]


def rows_of(y, weeks=None):
    x = np.stack([np.repeat(np.arange(ERAS), ROWS), np.tile(np.arange(ROWS), ERAS)], axis=1).astype(np.int8)
    weeks = np.arange(1, ERAS + 1) if weeks is None else weeks
    return RowsOfEras(x, y, FitEras(np.arange(0, ERAS * ROWS + 1, ROWS), weeks, 8))


def judged(rng, *, better, margin, weeks=None):
    """Two models of the same skill, or one with more."""
    y = rng.integers(0, 5, ERAS * ROWS) / 4
    base, adapted = (Given(skill * y + rng.normal(size=len(y))) for skill in (0.3, 0.3 + better))
    return judgement.judge(rows_of(y, weeks), adapted, base, margin=margin, plan=None)


def test_of_two_models_that_differ_by_noise_alone_about_one_in_twenty_is_merged():
    rng = np.random.default_rng(7)
    found = [judged(rng, better=0.0, margin=0.0) for _ in range(300)]
    merged = np.mean([each["merged"] for each in found])
    assert 0.01 < merged < 0.09
    seemed = np.mean([each["difference"] > 0 for each in found])
    assert 0.4 < seemed < 0.6  # what a judgement without a bound would have merged


def test_one_that_is_better_by_more_than_the_margin_is_merged_and_the_text_tells_why():
    rng = np.random.default_rng(8)
    found = judged(rng, better=1.0, margin=0.001)
    assert found["merged"]
    assert found["why"] == (
        f"merged: the lower bound {found['lower_bound']:+.4f} of the difference in CORR on 52 eras is above 0.0010"
    )
    assert not judged(np.random.default_rng(8), better=1.0, margin=found["lower_bound"])["merged"]
    assert judged(np.random.default_rng(8), better=1.0, margin=found["lower_bound"] - 1e-6)["merged"]


def test_eras_that_lie_apart_overlap_less():
    """Every fourth week: two neighbours share a label at the most, so the bound has more degrees of freedom."""
    near = judged(np.random.default_rng(9), better=0.2, margin=0.0)
    far = judged(np.random.default_rng(9), better=0.2, margin=0.0, weeks=np.arange(1, 4 * ERAS, 4))
    assert near["difference"] == far["difference"]
    assert near["lower_bound"] != far["lower_bound"]


def test_an_era_that_cannot_be_scored_counts_for_neither():
    y = np.random.default_rng(3).integers(0, 5, ERAS * ROWS) / 4
    values = y + np.random.default_rng(4).normal(size=len(y))
    constant = values.copy()
    constant[:ROWS] = 0.5
    found = judgement.judge(rows_of(y), Given(constant), Given(values), margin=0.0, plan=None)
    assert found["eras"] == ERAS - 1
    assert (found["difference"], found["merged"]) == (0.0, False)
