"""Weights that are learnt, for the stage that blends: from the members' rows to weights and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.data.eras import era_number
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.statistics import overlap_weeks
from models.base.protocol import FloatArray
from models.ensembles.blends import Blend, equal_weights
from models.ensembles.eratables import EraTables, KnownTruth, era_tables
from models.ensembles.exactscores import exact_payouts, rank_payouts
from models.ensembles.job import Learning
from models.ensembles.walkforward import EraWeights, departures, walk_forward_weights
from models.ensembles.weighing import Weigh

NOT_DISTINGUISHABLE = "not distinguishable from equal weights"


@dataclass(frozen=True)
class LearntWeights:
    """What came of it.

    Attributes:
        weights: of each era and live, as they are used.
        told: for people: see `learn_weights`.
    """

    weights: EraWeights
    told: dict[str, Any]


def learn_weights(
    blend: Blend,
    learns: Weigh,
    members: FloatArray,
    groups: EraGroups,
    eras: Sequence[str],
    truth: KnownTruth,
    learning: Learning,
    horizon_days: int,
) -> LearntWeights:
    """The weights of each era from those before it.

    Args:
        blend: the row.
        learns: its method.
        members: float64[n, k], out of fold.
        groups: the eras of the rows.
        eras: their labels.
        truth: what is known of the rows.
        learning: the columns, the purge and what all methods share.
        horizon_days: of the target.

    Returns:
        `told` has `turnover` (mean share of the weights that changes from an era to the next) and `scored_eras`; where
        the row is `confirmed` also `departed_eras`, `disagreed` and `judged` (decisions in which the two measures
        differed in sign, of how many), `live` (the sentence) and `approximation` (mean absolute difference between
        what the tables said and the exact payout of the candidate against equal weights).
    """
    weeks = np.array([era_number(era) for era in eras], dtype=np.int64)
    tables = era_tables(members, groups, weeks, truth)
    found = walk_forward_weights(learns, tables, weeks, learning.purge_weeks, learning.weighing)
    told: dict[str, Any] = {"scored_eras": len(tables.weeks)}
    if blend.confirmed:
        found, more = _confirmed(blend, found, members, groups, weeks, truth, learning, horizon_days, tables)
        told |= more
    return LearntWeights(found, {"turnover": round(found.turnover, 6), **told})


def _confirmed(
    blend: Blend,
    found: EraWeights,
    members: FloatArray,
    groups: EraGroups,
    weeks: npt.NDArray[np.int64],
    truth: KnownTruth,
    learning: Learning,
    horizon_days: int,
    tables: EraTables,
) -> tuple[EraWeights, dict[str, Any]]:
    """Equal weights where the candidate has not shown itself."""
    payout = learning.weighing.payout
    equal = np.array(equal_weights(members, groups))
    blends = [blend.combine(members, groups, weights) for weights in (found.by_era, equal)]
    exact = np.stack(
        [
            of(blends[0], groups, truth, payout) - of(blends[1], groups, truth, payout)
            for of in (exact_payouts, rank_payouts)
        ],
        axis=1,
    )
    allowed = departures(exact, weeks, learning.purge_weeks, overlap_weeks(horizon_days), learning.confidence)
    used = EraWeights(np.where(allowed.by_era[:, None], found.by_era, equal), found.live if allowed.live else equal)
    return used, {
        "departed_eras": int(allowed.by_era.sum()),
        "judged": allowed.judged,
        "disagreed": allowed.judged - allowed.agreed,
        "live": "departs from equal weights" if allowed.live else NOT_DISTINGUISHABLE,
        "candidate": found.live.tolist(),
        "approximation": _approximation(found, tables, weeks, exact[:, 0], learning),
    }


def _approximation(
    found: EraWeights, tables: EraTables, weeks: npt.NDArray[np.int64], exact: FloatArray, learning: Learning
) -> float | None:
    """How far the tables are from the exact difference to equal weights, on the mean of the scored eras."""
    place = {int(week): at for at, week in enumerate(weeks)}
    payout, equal = learning.weighing.payout, np.full(tables.members, 1 / tables.members)
    plain = tables.numerai.payouts(equal, payout)
    errors = []
    for at, week in enumerate(tables.weeks):
        own = tables.numerai.at(slice(at, at + 1)).payouts(found.by_era[place[int(week)]], payout)[0]
        errors.append(own - plain[at] - exact[place[int(week)]])
    known = np.array(errors)[np.isfinite(errors)] if errors else np.zeros(0)
    return float(np.abs(known).mean()) if known.size else None
