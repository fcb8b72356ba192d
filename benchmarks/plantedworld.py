"""Generated eras with a planted truth: which features carry what, and for how long."""

from __future__ import annotations

import argparse

import numpy as np

from eraflow.discovery.association import Associations
from eraflow.sandbox.generate import Generator
from eraflow.sandbox.naming import CLUSTER, GROUP_SIZES, FeatureNames
from eraflow.sandbox.truth import OVERLAP, STRENGTH, Truth, View
from eraflow.settings.source import SandboxSettings

GROUPS = {"stable": ("constitution",), "flipping": ("strength", "dexterity"), "noise": ("charisma",)}
SIDES = ("stable", "proxies", "flipping", "noise", "nothing")


def plant(
    features: FeatureNames, eras: int, flip: int, options: argparse.Namespace, seed: int
) -> tuple[Truth, np.ndarray]:
    """The truth, and the side of every feature: int64, position in SIDES."""
    rng = np.random.default_rng([seed, 71])
    titles = list(GROUP_SIZES)
    whole = np.bincount(features.cluster) == CLUSTER
    alone = np.array([len(set(features.group[features.cluster == c])) == 1 for c in range(len(whole))])
    eligible = (whole & alone)[features.cluster] & (rng.random(len(features.names)) < 0.5)
    side = np.full(len(features.names), SIDES.index("nothing"))
    base = rng.choice((-1.0, 1.0), len(side)) * rng.uniform(0.6, 1.4, len(side))
    for name, groups in GROUPS.items():
        here = np.isin(features.group, [titles.index(group) for group in groups])
        side[here] = SIDES.index("proxies" if name == "stable" else name)
        side[here & eligible & (name == "stable")] = SIDES.index("stable")
    active = np.flatnonzero(eligible & (side != SIDES.index("nothing")))
    course = np.zeros((eras, len(active)))
    course[:, side[active] == SIDES.index("stable")] = 1.0
    course[:, side[active] == SIDES.index("flipping")] = np.where(np.arange(eras) < flip, 2.0, -1.0)[:, None]
    linear = course * base[active]
    linear /= np.sqrt(np.mean(np.sum(linear**2, axis=1)))
    weeks = max(OVERLAP.values())
    shocks = rng.standard_normal((eras + weeks, len(active)))
    shocks[:, side[active] == SIDES.index("noise")] *= options.noise
    total = np.cumsum(np.vstack([np.zeros((1, len(active))), shocks]), axis=0)
    noise = {
        days: (total[width : width + eras] - total[:eras]) / np.sqrt(width * len(active))
        for days, width in OVERLAP.items()
    }
    nothing = np.zeros((0, 2), dtype=np.int64)
    strength = {days: min(0.9, a * options.signal) for days, a in STRENGTH.items()}
    return Truth(active, nothing, linear, np.zeros((eras, 0)), noise, strength), side


class World:
    """Generated eras in memory, with what an era store offers to those who read features and targets."""

    def __init__(self, options: argparse.Namespace, seed: int) -> None:
        count = options.eras
        settings = SandboxSettings(
            train_eras=count, validation_eras=20, rows_per_era=options.rows, features=options.features, seed=seed
        )
        generator = Generator(settings)
        used = count * 3 // 4
        generator.truth, self.side = plant(generator.features, count + 21, used // 2, options, seed)
        generator.benchmarks = {}
        generator.meta_model = View(generator.truth.linear, generator.truth.products, row_noise=1.0)  # not looked at
        self.eras = tuple(f"{number:04d}" for number in range(1, count + 1))
        self.features = generator.features.names
        drawn = [generator.era(position) for position in range(count)]
        self._codes = {era: np.ascontiguousarray(each.features.T) for era, each in zip(self.eras, drawn, strict=True)}
        self._targets = {era: each.targets for era, each in zip(self.eras, drawn, strict=True)}

    def matrix(self, eras: list[str]) -> np.ndarray:
        return self._codes[eras[0]]

    def column(self, target: str, eras: list[str]) -> np.ndarray:
        return self._targets[eras[0]][target].astype(np.float64)


def top_correlated(associations: Associations, count: int) -> np.ndarray:
    """The plain way: the `count` features with the largest mean correlation over the eras, in absolute value."""
    mean = np.abs(np.nanmean(associations.values, axis=0))
    return np.argsort(-mean, kind="stable")[:count]
