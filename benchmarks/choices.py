"""How often the rule on choices errs: `python -m benchmarks.choices [--draws 300] [--seed 1]`.

Twenty configurations share half or nine tenths of their noise variance, drawn as in `benchmarks.gateerrors`. The best
of them by its mean is shipped. They are worthless, all alike good (a Sharpe of .54 per era), or of a Sharpe that rises
from nothing to .54: a choice among the first is harmful to believe, among the second harmless, among the third right.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.gateerrors import HORIZONS, noise
from eraflow.scoring.overfitting import judge_choices
from eraflow.scoring.scoring import EraScores
from eraflow.settings.gate import GateSettings

CONFIGURATIONS, ERAS, EDGE = 20, 330, 0.54
WORLDS = {
    "worthless": np.zeros(CONFIGURATIONS),
    "all alike good": np.full(CONFIGURATIONS, EDGE),
    "from nothing to good": np.linspace(0, EDGE, CONFIGURATIONS),
}


def blocked(rng: np.random.Generator, sharpes: np.ndarray, weeks: int, shared: float, *, regimes: bool) -> bool:
    """Whether the default thresholds block the best of one draw."""
    common = noise(rng, ERAS, weeks, regimes=regimes)
    own = [noise(rng, ERAS, weeks, regimes=regimes) for _ in range(CONFIGURATIONS)]
    scores = [np.sqrt(shared) * common + np.sqrt(1 - shared) * one + s for one, s in zip(own, sharpes, strict=True)]
    labels = tuple(f"{number:04d}" for number in range(1, ERAS + 1))
    tried = [EraScores(labels, tuple(values.tolist())) for values in scores]
    best = max(tried, key=lambda each: float(np.mean(each.values)))
    found, settings = judge_choices(best, tried, weeks), GateSettings()
    if found is None or found.overfitting is None or settings.max_overfit is None:
        return False
    return found.overfitting > settings.max_overfit and found.deflated < settings.min_deflated


def main() -> None:
    """Print every cell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{CONFIGURATIONS} configurations, {ERAS} eras, {options.draws} draws: share of the best that is blocked")
    for days, weeks in HORIZONS.items():
        for regimes in (False, True):
            for shared in (0.5, 0.9):
                rates = []
                for place, sharpes in enumerate(WORLDS.values()):
                    rng = np.random.default_rng([options.seed, days, int(regimes), round(10 * shared), place])
                    hits = [blocked(rng, sharpes, weeks, shared, regimes=regimes) for _ in range(options.draws)]
                    rates.append(f"{list(WORLDS)[place]} {np.mean(hits):.1%}")
                told = ", ".join(rates)
                print(f"{days} days, {'regimes' if regimes else 'calm'}, shared {shared:.0%}: {told}", flush=True)


if __name__ == "__main__":
    main()
