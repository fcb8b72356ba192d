"""One rule of pairs, the same in every named group of features; planted when the switch `sandbox.pair_rule` is on.

In each group, which is a cluster of correlated features, two features are a pair. What a row earns by the rule is the
sum over the groups of the product of its pair. A network whose weights serve all groups, or all edges between
correlated features, learns one product from all of them; any other learns as many products as there are groups, each
from a target of which it is a small part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from eraflow.sandbox.naming import FeatureNames


@dataclass(frozen=True)
class PairRule:
    """Which features are pairs.

    Attributes:
        pairs: int64[p, 2], positions in file order; each feature is in one pair at the most.
        strength: about the correlation of the rule with the latent targets, whatever the horizon and `signal`.
    """

    pairs: np.ndarray
    strength: ClassVar[float] = 0.35

    def score(self, era: int, z: np.ndarray) -> np.ndarray:
        """float64[n], of mean 0 and variance 1, the same rule in any era: z float64[features, n], centred features."""
        one, other = z[self.pairs[:, 0]], z[self.pairs[:, 1]]
        total = np.einsum("pn,pn->n", one, other)
        return np.asarray((total - total.mean()) / (total.std() + 1e-12))


def plant_pairs(features: FeatureNames, seed: int) -> PairRule:
    """Draw the pairs: two features of each cluster that has as many, of the set `medium` where that has them."""
    rng = np.random.default_rng([seed, 61])
    medium = set(features.sets["medium"])
    found = []
    for cluster in range(int(features.cluster.max()) + 1):
        members = rng.permutation(np.flatnonzero(features.cluster == cluster))
        first = sorted(members.tolist(), key=lambda position: features.names[position] not in medium)
        if len(first) > 1:
            found.append(sorted(first[:2]))
    return PairRule(np.array(found, dtype=np.int64))
