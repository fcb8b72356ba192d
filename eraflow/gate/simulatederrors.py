"""How often the whole gate errs, all rules together: figures of a simulation, for the verdict.

From `python -m benchmarks gateerrors --draws 500`, which tells the assumptions; by the default thresholds. A standard
error of a rate near 5 % is 1 %, near 80 % it is 1.8 %. The rules of features, the exposure, other configurations and a
champion are not in the simulation: each can only block more.
"""

from __future__ import annotations

from typing import NamedTuple

from eraflow.scoring.statistics import overlap_weeks

DRAWS = 500


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
    (20, 200, True): Passes(0.022, 0.936, 0.068, 0.740),
    (20, 330, True): Passes(0.024, 0.994, 0.044, 0.842),
    (20, 650, True): Passes(0.018, 0.992, 0.042, 0.932),
    (60, 200, True): Passes(0.052, 0.660, 0.066, 0.598),
    (60, 330, True): Passes(0.058, 0.844, 0.058, 0.786),
    (60, 650, True): Passes(0.036, 0.948, 0.054, 0.896),
    (20, 200, False): Passes(0.020, 0.842, 0.066, 0.652),
    (20, 330, False): Passes(0.024, 0.970, 0.040, 0.780),
    (20, 650, False): Passes(0.022, 0.992, 0.042, 0.920),
    (60, 200, False): Passes(0.054, 0.542, 0.076, 0.492),
    (60, 330, False): Passes(0.056, 0.774, 0.060, 0.706),
    (60, 650, False): Passes(0.036, 0.930, 0.052, 0.862),
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
