"""Whether a code tells anything of the features; where it does not, it is named and not handed on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eraflow.errors import SettingsError

ACTIVE_DIVERGENCE = 0.01
"""Nats. Below it a unit of the code is the prior for nearly every row: its draw says nothing of the features. The same
figure as in Burda, Grosse, Salakhutdinov (2016), who ask it of the variance of the unit's mean."""
LEAST_EXPLAINED = 0.01
"""Share of the features' variance: a reconstruction below it is no better than the mean of each feature."""


class LatentCollapseError(SettingsError):
    """The latent code says nothing of the features: every unit is the prior, or the reconstruction is the mean.

    Lower `data.code_beta`, or give the training more updates.
    """

    code = "latent_collapse"


@dataclass(frozen=True)
class CodeHealth:
    """What a code tells of the rows that it was learnt from.

    Attributes:
        divergences: float64[c], the mean Kullback-Leibler divergence of each unit, nats.
        explained: share of the features' variance that the decoder reads from the code.
    """

    divergences: npt.NDArray[np.float64]
    explained: float

    @property
    def active(self) -> tuple[bool, ...]:
        """Which units tell something."""
        return tuple(bool(each) for each in self.divergences > ACTIVE_DIVERGENCE)

    def check(self, who: str, beta: float) -> None:
        """Refuse a code that has collapsed.

        Raises:
            LatentCollapseError: no unit is active, or the features are not told better than by their means.
        """
        if any(self.active) and self.explained >= LEAST_EXPLAINED:
            return
        raise LatentCollapseError(
            f"the {who} says nothing of the features: {sum(self.active)} of {len(self.divergences)} units are "
            f"active (largest divergence {self.divergences.max():.2g} nats), {self.explained:.1%} of the variance is "
            f"explained, with data.code_beta={beta:g}",
            "lower data.code_beta or raise data.code_updates; data.code=none does without",
        )
