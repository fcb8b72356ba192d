"""A payoff whose sign changes by era; planted when the switch `sandbox.era_sign` is on.

Every feature follows one of three themes. What the third one pays has a sign that is drawn anew for each era, and is
the sign of the correlation between the first and the second theme in that era. Each feature by itself is distributed as
in any other era, so the sign is seen in many rows of the era together: a network that attends across the era learns it.
A row by itself tells little of it: the best that could be made of single rows, from products of all three themes,
correlates less than `RELATED` with the payoff, and whatever is linear in the features not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from eraflow.sandbox.naming import THEMES, FeatureNames, themes_of

RELATED = 0.6
"""Correlation of the first two themes, by absolute value."""


@dataclass(frozen=True)
class EraSign:
    """Which feature follows which theme, and the sign of every era.

    Attributes:
        theme: int64[features], 0 to 2.
        signs: float64[eras], 1 or -1.
        seed: of the generated data.
        strength: about the correlation of the payoff with the latent targets, whatever the horizon and `signal`.
    """

    theme: np.ndarray
    signs: np.ndarray
    seed: int
    strength: ClassVar[float] = 0.45

    def factors(self, era: int, rows: int) -> np.ndarray:
        """The values of the themes in an era, float32[3, rows], each of variance 1."""
        drawn = np.random.default_rng([self.seed, 67, era]).standard_normal((THEMES, rows), dtype=np.float32)
        drawn[1] *= np.float32(np.sqrt(1 - RELATED**2))
        drawn[1] += np.float32(self.signs[era] * RELATED) * drawn[0]
        return drawn

    def score(self, era: int, z: np.ndarray) -> np.ndarray:
        """float64[n], of mean 0 and variance 1: z float64[features, n], the centred features of an era."""
        total = self.signs[era] * z[self.theme == THEMES - 1].sum(axis=0)
        return np.asarray((total - total.mean()) / (total.std() + 1e-12))


def plant_sign(features: FeatureNames, eras: int, seed: int) -> EraSign:
    """Draw the signs of so many eras."""
    return EraSign(themes_of(features.cluster), np.random.default_rng([seed, 71]).choice((-1.0, 1.0), eras), seed)
