"""Drawn weeks with every kind of ties, gaps and sizes, and how a score is compared with the reference."""

from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from eraflow.scoring.ranking import EraGroups
from tests.eraflow.scoring import reference

LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
EXTREMES = np.array([0.0, -0.0, 1e-300, -1e-300, 1e300, -1e300, np.inf, -np.inf, 0.5, 1.0])
quick = settings(max_examples=60, deadline=None)


@dataclass
class Week:
    """Eras of one drawn example, rows aligned, ids in no order."""

    groups: EraGroups
    ids: np.ndarray
    predictions: np.ndarray
    meta: np.ndarray
    target: np.ndarray
    features: np.ndarray


def drawn_values(rng, kind, n):
    if kind == "smooth":
        return rng.standard_normal(n)
    if kind == "ties":
        return rng.integers(0, 4, n) / 4.0
    if kind == "extreme":
        return rng.choice(EXTREMES, n)
    if kind == "close":  # values that differ in their last bits only
        return rng.choice([-1.0, 1.0], n) * (1 + np.finfo(float).eps * rng.integers(0, 60, n))
    return np.full(n, 0.5)


def with_gaps(rng, values, share):
    return np.where(rng.random(len(values)) < share, np.nan, values)


@st.composite
def weeks(draw, columns=1, kinds=("smooth", "ties", "extreme", "close", "constant"), gaps=(0.0, 0.05, 0.3)):
    sizes = draw(st.lists(st.one_of(st.integers(0, 6), st.integers(7, 60)), min_size=1, max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = sum(sizes)
    table = np.stack([drawn_values(rng, draw(st.sampled_from(kinds)), n) for _ in range(columns)], axis=1)
    table = np.stack([with_gaps(rng, table[:, j], draw(st.sampled_from(gaps))) for j in range(columns)], axis=1)
    scale, shift = draw(st.sampled_from([(1.0, 0.0), (4.0, -2.0), (1.0, -0.5)]))
    return Week(
        groups=EraGroups.from_sizes(sizes),
        ids=np.array([f"n{i:06d}" for i in rng.permutation(n)], dtype=object),
        predictions=table[:, 0] if columns == 1 else table,
        meta=with_gaps(rng, drawn_values(rng, draw(st.sampled_from(kinds)), n), draw(st.sampled_from(gaps))),
        target=with_gaps(rng, rng.choice(LEVELS, n) * scale + shift, draw(st.sampled_from(gaps))),
        features=rng.integers(0, 5, (n, 4)).astype(np.int8),
    )


def assert_same(ours, theirs, groups):
    """Equal to 1e-9, NaN where the reference says NaN; where it refuses for another reason, nothing is claimed."""
    assert len(ours) == len(theirs) == groups.n_eras
    for era, answer in enumerate(theirs):
        if answer is not reference.REFUSED:
            expected = np.broadcast_to(answer, ours[era].shape or (1,))
            np.testing.assert_allclose(np.atleast_1d(ours[era]), expected, rtol=0, atol=1e-9)
