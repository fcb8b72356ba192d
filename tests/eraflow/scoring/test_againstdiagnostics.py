"""Numerai's diagnostics against our backtest: what contradicts is told, what only flatters is not."""

from __future__ import annotations

import numpy as np
import pytest

from eraflow.scoring.againstdiagnostics import agreement
from eraflow.scoring.insample import Learned, Origin
from eraflow.scoring.scoring import EraScores

ERAS = tuple(f"{era:04d}" for era in range(600, 720))
LEARNED_ALL = Origin(members=(Learned(tuple(range(1, 720)), 16),))
LEARNED_NONE = Origin(members=(Learned(tuple(range(1, 500)), 16),))


def own(seed: int = 0) -> EraScores:
    values = np.random.default_rng(seed).normal(0.02, 0.02, len(ERAS))
    return EraScores(ERAS, tuple(values.tolist()))


def theirs(shift: float, seed: int = 1) -> dict[str, float]:
    noise = np.random.default_rng(seed).normal(0.0, 0.002, len(ERAS))
    return {era: value + shift + step for era, value, step in zip(ERAS, own().values, noise, strict=True)}


@pytest.mark.parametrize(
    ("origin", "shift", "agrees"),
    [
        (LEARNED_ALL, 0.0, True),
        (LEARNED_ALL, 0.05, True),  # what was learnt flatters
        (LEARNED_ALL, -0.02, False),
        (Origin(), 0.05, True),
        (Origin(), -0.02, False),
        (LEARNED_NONE, 0.0, True),
        (LEARNED_NONE, 0.02, False),
        (LEARNED_NONE, -0.02, False),
    ],
)
def test_by_era(origin: Origin, shift: float, agrees: bool) -> None:
    found = agreement(own(), 20, origin, theirs(shift))
    assert found.agrees is agrees, found.text
    assert found.eras == len(ERAS)
    assert found.difference == pytest.approx(shift, abs=0.002)
    assert found.learned == (0 if origin is LEARNED_NONE else len(ERAS))


@pytest.mark.parametrize(
    ("mean", "trained", "agrees"), [(0.02, None, True), (0.09, None, True), (0.09, False, False), (-0.02, None, False)]
)
def test_by_the_mean_where_no_eras_are_told(mean: float, trained: bool | None, agrees: bool) -> None:
    found = agreement(own(), 20, LEARNED_ALL, {}, mean, trained_on_validation=trained)
    assert found.agrees is agrees, found.text


def test_too_little_says_nothing() -> None:
    assert agreement(own(), 60, LEARNED_NONE, dict(list(theirs(-1.0).items())[:5])).agrees is None
    assert agreement(own(), 20, LEARNED_NONE, {}).agrees is None


def test_what_agrees_is_rarely_called_a_disagreement() -> None:
    """The rate of false alarms is that of the bounds, about one in fifty for both together."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(300):
        noise = rng.normal(0.0, 0.01, len(ERAS))
        told = {era: value + step for era, value, step in zip(ERAS, own().values, noise, strict=True)}
        alarms += agreement(own(), 20, LEARNED_NONE, told).agrees is False
    assert alarms <= 18
