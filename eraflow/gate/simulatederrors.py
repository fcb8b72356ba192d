"""How often the whole gate errs, all rules together: figures of a simulation, for the verdict.

From `python -m benchmarks gateerrors --draws 1000 --seed 20261201`, which tells the assumptions; by the default
thresholds. The bounds were chosen with other draws. A standard error of a rate near 5 % is .7 %, near 80 % it is 1.3 %.
The rules of features, the exposure, other configurations and a champion are not in the simulation: each can only block
more.
"""

from __future__ import annotations

from typing import NamedTuple

from eraflow.scoring.statistics import overlap_weeks

DRAWS = 1000


class Passes(NamedTuple):
    """Shares of simulated weeks that pass.

    Attributes:
        worthless, edge: of an ensemble of mean 0 and of one with a Sharpe of .54 per era in CORR.
        worthless_slow, edge_slow: the same where a slow regime holds a tenth of the variance.
    """

    worthless: float
    edge: float
    worthless_slow: float
    edge_slow: float


SIMULATED: dict[tuple[int, int, bool], Passes] = {
    (20, 200, True): Passes(0.023, 0.917, 0.053, 0.735),
    (20, 330, True): Passes(0.014, 0.981, 0.046, 0.862),
    (20, 650, True): Passes(0.015, 0.990, 0.039, 0.947),
    (60, 200, True): Passes(0.046, 0.625, 0.062, 0.572),
    (60, 330, True): Passes(0.051, 0.852, 0.073, 0.795),
    (60, 650, True): Passes(0.034, 0.954, 0.048, 0.902),
    (20, 200, False): Passes(0.017, 0.818, 0.058, 0.621),
    (20, 330, False): Passes(0.014, 0.956, 0.037, 0.800),
    (20, 650, False): Passes(0.017, 0.990, 0.041, 0.919),
    (60, 200, False): Passes(0.049, 0.532, 0.063, 0.502),
    (60, 330, False): Passes(0.050, 0.800, 0.072, 0.725),
    (60, 650, False): Passes(0.036, 0.931, 0.053, 0.856),
}
"""(days, eras, whether the benchmark's history is used) -> what passes."""


def nearest(horizon_days: int, eras: int, *, history: bool) -> tuple[int, int]:
    """The simulated cell, days and eras, that is nearest to a case."""
    days = min((20, 60), key=lambda each: abs(overlap_weeks(each) - overlap_weeks(horizon_days)))
    counts = {count for some_days, count, used in SIMULATED if (some_days, used) == (days, history)}
    return days, min(counts, key=lambda count: (abs(count - eras), count))


def whole_gate_in_words(horizon_days: int, eras: int, *, history: bool) -> str:
    """How often the whole gate errs, for the note of a verdict."""
    days, count = nearest(horizon_days, eras, history=history)
    found = SIMULATED[days, count, history]
    how = "with the benchmark's history" if history else "without a history of the benchmark"
    return (
        f"The whole gate, simulated by its default thresholds {how} ({days} days, {count} eras, {DRAWS} draws): a "
        f"worthless ensemble passes in {found.worthless:.1%} of weeks, {found.worthless_slow:.1%} in slow regimes; one "
        f"with a Sharpe of 0.54 per era is blocked wrongly in {1 - found.edge:.1%} and {1 - found.edge_slow:.1%}."
    )
