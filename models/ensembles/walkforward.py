"""Weights for each era from the eras before it: what is judged out of fold, and, last of all, what predicts live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eraflow.scoring.statistics import ewc_interval, min_eras
from models.base.protocol import FloatArray
from models.ensembles.eratables import EraTables
from models.ensembles.weighing import Weigh, Weighing, tempered


@dataclass(frozen=True)
class EraWeights:
    """The weights of a walk-forward.

    Attributes:
        by_era: float64[n_eras, k]; each row none negative, 1 together.
        live: float64[k], from all eras whose target is known.
    """

    by_era: FloatArray
    live: FloatArray

    @property
    def turnover(self) -> float:
        """The mean share that changes from an era to the next."""
        return float(np.abs(np.diff(self.by_era, axis=0)).sum(axis=1).mean() / 2) if len(self.by_era) > 1 else 0.0


def walk_forward_weights(
    weigh: Weigh, tables: EraTables, weeks: npt.NDArray[np.int64], purge_weeks: int, asked: Weighing
) -> EraWeights:
    """Weights for each of `weeks` from what may be known `purge_weeks` before it.

    A method is handed the past alone, so it cannot look ahead: see `EraTables.before`.

    Args:
        weigh: a method.
        tables: of all eras.
        weeks: int64[n_eras], the eras that are weighed for.
        purge_weeks: labels of eras nearer than this reach into the era that is weighed for.
        asked: what all methods share.
    """
    rows = [_weights(weigh, tables.before(int(week) - purge_weeks), asked) for week in weeks]
    return EraWeights(np.array(rows).reshape(len(weeks), tables.members), _weights(weigh, tables, asked))


def _weights(weigh: Weigh, past: EraTables, asked: Weighing) -> FloatArray:
    if len(past.weeks) < asked.warm_up:
        return np.full(past.members, 1 / past.members)
    return tempered(weigh(past, asked), asked)


@dataclass(frozen=True)
class Departure:
    """Where a walk-forward may depart from equal weights.

    Attributes:
        by_era: bool[n_eras].
        live: whether it may live.
        agreed: in how many of the eras that were judged both measures said the same of the mean difference so far.
        judged: how many those are.
    """

    by_era: npt.NDArray[np.bool_]
    live: bool
    agreed: int
    judged: int


def departures(
    differences: FloatArray,
    weeks: npt.NDArray[np.int64],
    purge_weeks: int,
    overlap: int,
    confidence: float,
) -> Departure:
    """Where the candidate has shown on earlier eras, by both measures, that it is no worse than equal weights.

    Both mean differences must be positive and the lower bound of what Numerai pays must not be negative. Each era is
    one that the weights were not learnt from, and lies before the purge of the era that is decided for.

    Args:
        differences: float64[n_eras, 2], exact payout of the candidate less that of equal weights, by Numerai's measure
            and by ranks; NaN where an era has no score.
        weeks: int64[n_eras].
        purge_weeks: see `walk_forward_weights`.
        overlap: weeks over which labels overlap.
        confidence: of the bound, one-sided.
    """
    known = np.isfinite(differences).all(axis=1)
    found = [_allowed(differences[known & (weeks < int(week) - purge_weeks)], overlap, confidence) for week in weeks]
    live = _allowed(differences[known], overlap, confidence)
    judged = [one for one in (*found, live) if one is not None]
    return Departure(
        np.array([one is not None and one[0] for one in found], dtype=bool),
        live is not None and live[0],
        sum(one[1] for one in judged),
        len(judged),
    )


def _allowed(past: FloatArray, overlap: int, confidence: float) -> tuple[bool, bool] | None:
    """Whether it may depart, and whether the measures agree in sign; None with too few eras to say."""
    if len(past) < min_eras(overlap):
        return None
    paid, ranked = past.mean(axis=0)
    if not past[:, 0].any():  # it never departed
        return False, True
    bound = ewc_interval(past[:, 0], overlap, confidence).low
    return bool(paid > 0 and ranked > 0 and bound >= 0), bool(np.sign(paid) == np.sign(ranked))
