"""Whether Numerai's diagnostics of a model and our own backtest of it say the same.

The model that is uploaded has learnt from nearly all eras, also from those that Numerai diagnoses; the backtest judges
each era by models that have not. So most figures of the diagnostics flatter, and only a part of them can contradict:

- eras that the model has not learnt from, nor their neighbours: both measure the same thing, and any difference beyond
  its noise speaks;
- eras that it has learnt from: a fit must not be worse on what it has seen than on what it has not, so only scores
  below the backtest's speak. They do when what runs at Numerai is another model, or gets other data.

The noise is that of the paired differences by era, by the interval of `eraflow.scoring.statistics`. Where no eras are
told, the mean is held against the interval of the backtest's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from eraflow.scoring.insample import Origin
from eraflow.scoring.scoring import EraScores
from eraflow.scoring.statistics import Interval, ewc_interval, min_eras, overlap_weeks, without_infinities

CONFIDENCE = 0.99
"""One-sided; so of a hundred models about which both agree, one or two are called a disagreement."""


@dataclass(frozen=True)
class Agreement:
    """What came of the comparison.

    Attributes:
        agrees: False: they disagree; None: there was too little to compare.
        text: in words.
        eras: eras that were compared.
        learned: how many of them the model has learnt from, or lies too near to.
        difference, low, high: Numerai's mean CORR less ours on these eras, with its bounds; None when not known.
    """

    agrees: bool | None
    text: str
    eras: int = 0
    learned: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return without_infinities(asdict(self))


def agreement(
    own: EraScores,
    horizon_days: int,
    origin: Origin,
    theirs: Mapping[str, float],
    their_mean: float | None = None,
    *,
    trained_on_validation: bool | None = None,
) -> Agreement:
    """Compare CORR by era, or by the mean where there are no eras.

    Args:
        own: our backtest's CORR, era by era.
        horizon_days: of the target.
        origin: what the uploaded model has learnt from; where it is not known, from all eras.
        theirs: Numerai's CORR by era.
        their_mean: Numerai's mean CORR; used where `theirs` has no era of ours.
        trained_on_validation: what Numerai says of the model; used with the mean alone.
    """
    overlap = overlap_weeks(horizon_days)
    mine = dict(zip(own.eras, own.values, strict=True))
    common = [era for era in own.eras if era in theirs]
    if not common:
        return _by_mean(own, overlap, their_mean, two_sided=trained_on_validation is False)
    fresh = [era for era in common if origin.known and origin.standing(era) == "out of sample"]
    learned = [era for era in common if era not in set(fresh)]
    found = [
        _judged([theirs[era] - mine[era] for era in eras], overlap, learned=seen)
        for eras, seen in ((fresh, False), (learned, True))
        if len(eras) >= min_eras(overlap)
    ]
    if not found:
        return Agreement(None, f"{len(common)} common eras are too few to tell", len(common), len(learned))
    against = next((one for one in found if one.agrees is False), None)
    return against or found[0]


def _judged(differences: list[float], overlap: int, *, learned: bool) -> Agreement:
    interval = ewc_interval(differences, overlap, CONFIDENCE)
    count = len(differences)
    disagree = interval.high < 0 or (not learned and interval.low > 0)
    of = "eras that the model has learnt from" if learned else "eras that the model has not learnt from"
    return Agreement(
        not disagree, f"{_said(interval)} on {count} {of}", count, count if learned else 0, *_figures(interval)
    )


def _by_mean(own: EraScores, overlap: int, their_mean: float | None, *, two_sided: bool) -> Agreement:
    if their_mean is None or len(own.values) < min_eras(overlap):
        return Agreement(None, "neither common eras nor a mean that could be compared", len(own.values))
    interval = ewc_interval([their_mean - value for value in own.values], overlap, CONFIDENCE)
    disagree = interval.high < 0 or (two_sided and interval.low > 0)
    text = f"{_said(interval)}, by the means alone (ours over {len(own.values)} eras)"
    return Agreement(not disagree, text, len(own.values), 0, *_figures(interval))


def _said(interval: Interval) -> str:
    return (
        f"CORR at Numerai less ours is {interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f}, "
        f"{CONFIDENCE:.0%} each)"
    )


def _figures(interval: Interval) -> tuple[float | None, float | None, float | None]:
    mean, low, high = (
        value if math.isfinite(value) else None for value in (interval.mean, interval.low, interval.high)
    )
    return mean, low, high
