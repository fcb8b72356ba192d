"""What learnt weights earn against equal ones, where the skill of the members is known because it was planted.

`python -m benchmarks.tournaments [--draws 200] [--methods exponential,payout]`. Worlds: members of the same skill, by
which nothing can be gained; one of four without any; skills that differ; and a member whose skill dies halfway. Aims:
where skill differs, more than equal weights by a 95 % bound over the draws; where it does not, at most 1 % less.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.aims import note
from benchmarks.plantedmembers import Tournament, tournament
from eraflow.scoring.payout import TODAY
from models.base.protocol import FloatArray
from models.ensembles.blends import BLENDS, Blend
from models.ensembles.exactscores import exact_payouts
from models.ensembles.job import Learning
from models.ensembles.learntweights import learn_weights
from models.ensembles.rankblend import rank_gaussian_blend
from models.ensembles.weighing import Weighing

ERAS, ROWS, WARM_UP = 160, 250, 52
SKILL = 0.04
"""About the CORR of a decent member on real data."""
WANDER = 0.03
"""How far a member's skill moves from era to era beside what its rows make of it."""
LEAST = -0.01
"""Of the mean payout of equal weights: what may be lost where there is nothing to find."""


@dataclass(frozen=True)
class World:
    """Skills by era, float64[ERAS, k]; whether they differ; the share of noise that members have in common."""

    skills: FloatArray
    differs: bool
    alike: float


def _steady(*skills: float) -> FloatArray:
    return np.tile(np.array(skills), (ERAS, 1))


def _dying() -> FloatArray:
    skills = _steady(SKILL, SKILL, SKILL, SKILL)
    skills[ERAS // 2 :, 0] = -SKILL / 2
    return skills


WORLDS = {
    "all alike": World(_steady(SKILL, SKILL, SKILL, SKILL), False, 0.7),
    "one without skill": World(_steady(SKILL, SKILL, SKILL, 0.0), True, 0.3),
    "skills differ": World(_steady(1.75 * SKILL, 1.25 * SKILL, 0.75 * SKILL, 0.25 * SKILL), True, 0.5),
    "one dies halfway": World(_dying(), True, 0.3),
}


def gains(world: World, methods: list[str], draws: int) -> tuple[dict[str, FloatArray], FloatArray]:
    """Of each method float64[draws], mean exact payout less that of equal weights, and float64[draws], that of equal.

    The eras of the warm-up, in which all weights are equal, do not count.
    """
    found: dict[str, list[float]] = {method: [] for method in methods}
    equal: list[float] = []
    for draw in range(draws):
        planted = tournament(world.skills, eras=ERAS, rows=ROWS, seed=draw, alike=world.alike, wander=WANDER)
        plain = _paid(planted, None)
        equal.append(plain)
        for method in methods:
            found[method].append(_paid(planted, _weights(BLENDS[method], planted)) - plain)
    return {method: np.array(values) for method, values in found.items()}, np.array(equal)


def _weights(row: Blend, planted: Tournament) -> FloatArray:
    if row.learns is None:
        raise SystemExit("this method does not learn its weights")
    learning = Learning(
        meta_model="meta", benchmark=None, purge_weeks=8, confidence=0.95, weighing=Weighing(warm_up=WARM_UP)
    )
    eras = [f"{week:04d}" for week in planted.weeks]
    learnt = learn_weights(row, row.learns, planted.members, planted.groups, eras, planted.truth, learning, 20)
    return learnt.weights.by_era


def _paid(planted: Tournament, weights: FloatArray | None) -> float:
    blend = rank_gaussian_blend(planted.members, planted.groups, weights)
    return float(np.nanmean(exact_payouts(blend, planted.groups, planted.truth, TODAY)[WARM_UP + 8 :]))


def lines(name: str, found: dict[str, FloatArray], equal: FloatArray) -> Iterator[str]:
    """What is printed of a world; each aim is noted."""
    base = float(equal.mean())
    yield f"{name}: equal weights are paid {base:.4f}, {len(equal)} draws"
    for method, values in found.items():
        mean, half = float(values.mean()), 1.645 * float(values.std(ddof=1)) / np.sqrt(len(values))
        low = (mean - half) / base
        aim, reached = ("more than equal", low > 0) if WORLDS[name].differs else ("at most 1 % less", low > LEAST)
        told = f"{mean / base:+.1%} of that, lower bound {low:+.1%}"
        yield f"  {method:14}{told}; aim: {aim}, {'reached' if reached else 'NOT REACHED'}"
        note(f"{method}, {name}", aim, told, reached)


def main(argv: list[str]) -> int:
    """Draw the tournaments and print; an aim that is missed is told, and is no failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--methods", default=",".join(name for name, row in BLENDS.items() if row.learns))
    options = parser.parse_args(argv)
    for name, world in WORLDS.items():
        found, equal = gains(world, options.methods.split(","), options.draws)
        print("\n".join(lines(name, found, equal)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
