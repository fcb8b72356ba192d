"""What the right networks find of the truths that the sandbox plants, and their controls do not.

`python -m benchmarks.truths [--networks gin,gatv2] [--seeds 3]`. The data are those of `--set sandbox.pair_rule=true`,
and for the transformer across the era those of `--set sandbox.era_sign=true`;
learnt from and judged by is the target, not the rule behind it. A network is the mean of its seeds; its
control differs from it in one parameter; the mlp has the same number of weights, the same updates and the same rows.
Each difference is paired over the judged eras (EWC, one-sided 95 %).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from benchmarks.aims import note
from benchmarks.measured import cpu_seconds
from eraflow.data.catalog import Catalog
from eraflow.machine.plan import Plan
from eraflow.sandbox.generate import Generator
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.statistics import Comparison, overlap_weeks, paired_comparison
from eraflow.settings.source import SandboxSettings
from models.base.wholeeras import FitEras, fit_in_eras, predict_in_eras
from models.kinds import count_weights, make_model

TARGET, HORIZON, PURGE = "target_ender_20", 20, 8
JUDGED = 72
"""Eras behind the training and its purge."""
SEED = 3
PLAN = Plan(threads=1)


@dataclass(frozen=True)
class Contest:
    """A network, what its control changes, and the world in which both are tried."""

    kind: str
    world: SandboxSettings
    control: Mapping[str, Any]
    params: Mapping[str, Any] = field(default_factory=dict)


_PAIRS = SandboxSettings(train_eras=100, validation_eras=90, rows_per_era=200, features=50, pair_rule=True)
_SIGNS = SandboxSettings(train_eras=100, validation_eras=90, rows_per_era=200, features=50, era_sign=True)
# Few updates of small batches, so that all of it takes minutes; no dropout, since the truths are strong.
_TRAINING = {"dropout": 0.0, "validation_share": 0.0, "learning_rate": 0.006}
_SMALL = {"width": 16, "feedforward": 32, **_TRAINING}
CONTESTS = {
    "gin": Contest("gin", _PAIRS, {"edges": "shuffled"}, {"width": 8, "updates": 200, "batch_size": 128, **_TRAINING}),
    "gatv2": Contest(
        "gatv2", _PAIRS, {"edges": "shuffled"}, {"width": 4, "heads": 2, "updates": 200, "batch_size": 128, **_TRAINING}
    ),
    "transformer": Contest(
        "transformer", _PAIRS, {"groups": "shuffled"}, {"updates": 300, "batch_size": 256, **_SMALL}
    ),
    # Four eras a batch: from one or two, whose signs often agree, it learns no more than from rows by themselves.
    "transformer-across-era": Contest(
        "transformer",
        _SIGNS,
        {"across": "groups"},
        {"across": "era", "points": 4, "updates": 400, "batch_size": 800, **_SMALL, "learning_rate": 0.003},
    ),
}


@dataclass(frozen=True)
class World:
    """Generated eras: x int8[n, f] and y float64[n] of train and of the judged eras, rows of an era, named groups."""

    x: np.ndarray
    y: np.ndarray
    rows: int
    learnt: int
    groups: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, settings: SandboxSettings) -> World:
        """Train, then the purge, which is left out, then `JUDGED` eras of validation."""
        generator = Generator(settings)
        first = settings.train_eras + PURGE
        eras = [generator.era(at) for at in (*range(settings.train_eras), *range(first, first + JUDGED))]
        names = generator.features.names
        groups = Catalog(generator.features.sets, ()).groups
        return cls(
            np.ascontiguousarray(np.concatenate([era.features.T for era in eras])),
            np.concatenate([era.targets[TARGET] for era in eras]).astype(np.float64),
            settings.rows_per_era,
            settings.train_eras * settings.rows_per_era,
            {name: tuple(map(names.index, members)) for name, members in groups.items()},
        )

    def offsets(self, rows: int) -> np.ndarray:
        """int64[e + 1] of so many rows."""
        return np.arange(0, rows + 1, self.rows, dtype=np.int64)


world_of = cache(World.of)


@dataclass(frozen=True)
class Outcome:
    """CORR float64[JUDGED] of the network, its control and the mlp, what they took, and how large they are."""

    scores: dict[str, np.ndarray]
    seconds: dict[str, float]
    weights: dict[str, int]

    def against(self, other: str) -> Comparison:
        """The network against its control or the mlp."""
        return paired_comparison(self.scores["network"], self.scores[other], overlap_weeks(HORIZON))


def contest(name: str, seeds: int) -> Outcome:
    """Train and judge the three; see CONTESTS for the names."""
    given = CONTESTS[name]
    world, features = world_of(given.world), given.world.features
    wanted = count_weights(given.kind, given.params, features)
    plain = {key: value for key, value in given.params.items() if key in ("updates", "batch_size", *_TRAINING)}
    rivals = {
        "network": (given.kind, given.params),
        "control": (given.kind, {**given.params, **given.control}),
        "mlp": ("mlp", {**plain, "hidden": [max(1, round(wanted / (features + 1)))]}),
    }
    found = {rival: _judged(world, kind, {**params, "seeds": seeds}) for rival, (kind, params) in rivals.items()}
    return Outcome(
        {rival: scores for rival, (scores, _) in found.items()},
        {rival: seconds for rival, (_, seconds) in found.items()},
        {rival: count_weights(kind, params, features) for rival, (kind, params) in rivals.items()},
    )


def _judged(world: World, kind: str, params: Mapping[str, Any]) -> tuple[np.ndarray, float]:
    """CORR of each judged era, and CPU seconds of training and prediction."""
    started, x, y = cpu_seconds(), world.x, world.y
    model = make_model(kind, params, groups=world.groups if kind == "transformer" else None)
    offsets = world.offsets(world.learnt)
    eras = FitEras(offsets, np.arange(len(offsets) - 1), PURGE)
    fit_in_eras(model, x[: world.learnt], y[: world.learnt].astype(np.float32), eras, plan=PLAN, seed=SEED)
    judged = x[world.learnt :]
    predictions = predict_in_eras(model, judged, world.offsets(len(judged)), plan=PLAN)
    scores = era_corr(predictions, y[world.learnt :], EraGroups.from_sizes([world.rows] * JUDGED))
    return scores, cpu_seconds() - started


def lines(name: str, outcome: Outcome) -> Iterator[str]:
    """What is printed of a contest."""
    for rival, scores in outcome.scores.items():
        text = f"{name}: {rival}" if rival != "network" else name
        figures = f"CORR {scores.mean():.3f}, {outcome.weights[rival]} weights, {outcome.seconds[rival]:.0f} CPU s"
        if rival == "network":
            yield f"{text:40} {figures}"
            continue
        said = outcome.against(rival)
        bounds = f"{said.interval.low:.3f} to {said.interval.high:.3f}"
        yield f"{text:40} {figures}; the network is {said.verdict} by {said.difference:+.3f} ({bounds})"


def main(argv: list[str]) -> int:
    """Hold the contests; returns how many networks do not beat both rivals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(CONTESTS), help=f"of {', '.join(CONTESTS)}")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(argv)
    missed = 0
    for name in options.networks.split(","):
        outcome = contest(name, options.seeds)
        print("\n".join(lines(name, outcome)), flush=True)
        bounds = {rival: outcome.against(rival) for rival in ("control", "mlp")}
        reached = all(said.verdict == "better" for said in bounds.values())
        missed += not reached
        told = ", ".join(f"{rival} {said.interval.low:+.3f}" for rival, said in bounds.items())
        note(f"the planted truth of {name}", "lower bounds against both above 0", told, reached)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
