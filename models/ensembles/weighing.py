"""How weights follow from the past: the methods, each a function of the eras that may be known and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from eraflow.scoring.payout import TODAY, Payout
from models.base.protocol import FloatArray
from models.ensembles.eratables import EraTables
from models.ensembles.numeraitables import NumeraiTables
from models.ensembles.ranktables import RankTables

RATE = 1 / 3
"""Of the exponential weights: by how much the logarithm of a weight rises for a standard error. Of 1/3, 1/2 and 1 on
simulated tournaments (`python -m benchmarks.tournaments`) the only one that costs less than 1 % where no member is
better than another."""
STEPS = 300
"""Of the small stack; it ends earlier where nothing moves any more."""
RIDGE = 1.0
"""Of the small stack: the pull to equal weights, in units of the members' mean variance."""


@dataclass(frozen=True)
class Weighing:
    """What all methods share.

    Attributes:
        payout: what is paid.
        half_life: eras after which a score counts half.
        equal_share: of equal weights that is mixed into what a method finds.
        most: no member weighs more than this, or than twice its equal share, whichever is larger.
        warm_up: with fewer eras than this all weights are equal.
    """

    payout: Payout = TODAY
    half_life: float = 52.0
    equal_share: float = 0.5
    most: float = 0.5
    warm_up: int = 52


Weigh = Callable[[EraTables, Weighing], FloatArray]
"""float64[k], none negative, 1 together, from the eras that may be known."""


def recency(past: EraTables, half_life: float) -> FloatArray:
    """float64[e]: what each era counts, 1 for the newest; by weeks, so that a gap ages."""
    ages = (past.weeks[-1] - past.weeks).astype(np.float64) if len(past.weeks) else np.zeros(0)
    return np.asarray(0.5 ** (ages / half_life))


def own_payouts(past: EraTables, payout: Payout) -> FloatArray:
    """float64[e, k]: what each member alone would be paid, as Numerai does, before it is ranked again."""
    return past.numerai.alone(payout)


def exponential(past: EraTables, asked: Weighing) -> FloatArray:
    """Exponential weights: each member by the exponential of how far its recent payout stands out from the others'.

    That is told in standard errors of the mean, so that noise has the same say whatever a round pays, how many rows an
    era has and how alike the members are.
    """
    paid, counts = own_payouts(past, asked.payout), recency(past, asked.half_life)
    apart = paid - paid.mean(axis=1, keepdims=True)
    shares = counts / counts.sum()
    error = np.sqrt(float(shares @ (apart**2).mean(axis=1)) * float(shares @ shares))
    return _shares(np.exp(RATE * (shares @ apart) / error)) if error > 0 else np.full(past.members, 1 / past.members)


def recent_mean(past: EraTables, asked: Weighing) -> FloatArray:
    """Each member by the positive part of its recent mean payout; equal where none is positive."""
    counts = recency(past, asked.half_life)
    return _shares(np.maximum(counts @ own_payouts(past, asked.payout) / counts.sum(), 0.0))


def payout_optimal(past: EraTables, asked: Weighing) -> FloatArray:
    """The mean of two sets of weights: those that would have been paid most, by each of the two measures."""
    both = [_best(measure, past, asked) for measure in (past.numerai, past.ranks)]
    return _shares(both[0] + both[1])


def small_stack(past: EraTables, asked: Weighing) -> FloatArray:
    """Least squares of the target on the members, none negative, 1 together, drawn to equal weights."""
    counts = recency(past, asked.half_life)
    inner = np.einsum("e,ekl->kl", counts, past.numerai.inner) / counts.sum()
    side = counts @ past.numerai.corr / counts.sum()
    pull = RIDGE * float(np.trace(inner)) / len(side)
    equal = np.full(len(side), 1 / len(side))
    rate = 1 / (float(np.linalg.eigvalsh(inner)[-1]) + pull)
    weights = equal
    # The target is far larger than what any blend explains of it, so its length says nothing: the blend is compared
    # with a target that is shortened to what equal weights explain.
    scale = float(equal @ side) / float(equal @ inner @ equal)
    goal = side / scale if scale > 0 else np.zeros(len(side))
    for _ in range(STEPS):
        moved = on_simplex(weights - rate * (inner @ weights - goal + pull * (weights - equal)))
        if np.abs(moved - weights).max() < 1e-9:
            break
        weights = moved
    return _shares(weights)


def _best(measure: NumeraiTables | RankTables, past: EraTables, asked: Weighing) -> FloatArray:
    """The weights of most recent payout in one measure, on the simplex.

    The eras that the meta model covers alone where they are enough: a payout with BMC is another score, and the two are
    never mixed.
    """
    eras = past.with_meta if past.with_meta.sum() >= asked.warm_up else ~past.with_meta
    counts = recency(past, asked.half_life)[eras]
    counts = counts / max(float(counts.sum()), 1.0)
    chosen, width = measure.at(eras), past.members
    found = minimize(
        lambda weights: -float(counts @ chosen.payouts(weights, asked.payout)),
        np.full(width, 1 / width),
        jac=lambda weights: -chosen.slope(weights, asked.payout, counts),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * width,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 60, "ftol": 1e-7},
    )
    return _shares(np.maximum(found.x, 0.0))


def tempered(weights: FloatArray, asked: Weighing) -> FloatArray:
    """float64[k]: mixed with equal weights, and no member above the most; 1 together."""
    width = len(weights)
    mixed = asked.equal_share / width + (1 - asked.equal_share) * weights
    most = max(asked.most, min(1.0, 2 / width))
    return _capped(mixed, most)


def _capped(weights: FloatArray, most: float) -> FloatArray:
    """What lies above `most` is given to the others, in their proportion."""
    result = weights.copy()
    for _ in range(len(weights)):
        above = result > most
        if not above.any():
            break
        rest, room = result[~above].sum(), 1 - most * above.sum()
        result[~above] = result[~above] * room / rest if rest > 0 else room / max((~above).sum(), 1)
        result[above] = most
    return result


def on_simplex(values: FloatArray) -> FloatArray:
    """float64[k]: the nearest weights, none negative, 1 together.

    Source: Duchi and others, "Efficient projections onto the l1-ball for learning in high dimensions", ICML 2008.
    """
    falling = np.sort(values)[::-1]
    excess = (np.cumsum(falling) - 1) / np.arange(1, len(values) + 1)
    last = int(np.flatnonzero(falling > excess)[-1])
    return np.asarray(np.maximum(values - excess[last], 0.0))


def _shares(values: FloatArray) -> FloatArray:
    total = float(values.sum())
    return values / total if total > 0 else np.full(len(values), 1 / len(values))
