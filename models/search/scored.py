"""Rows on which a growing model is scored: held-out eras, and some of the training eras for the gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from eraflow.scoring.metrics import PreparedContribution, PreparedCorr, SortedPredictions
from eraflow.scoring.payout import Payout
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import Codes, FloatArray, Model
from models.base.wholeeras import predict_in_eras


@dataclass(frozen=True)
class Sides:
    """Where the scores come from.

    Attributes:
        target: column of the payout target.
        other: column of the meta model, or of the benchmark, that contribution is measured against; None: CORR alone.
        payout: what an era pays, by CORR and that contribution; None: the score is CORR.
    """

    target: str
    other: str | None = None
    payout: Payout | None = None

    @property
    def unit(self) -> float:
        """What a CORR of 1 is worth in the score, so that a gap in CORR weighs alike; where none is paid, MMC's."""
        return 1.0 if self.payout is None else self.payout.corr or self.payout.mmc


class ScoredEras:
    """The rows of some eras with their scores prepared: each look costs one sort.

    Attributes:
        eras: their labels.
        x: int8[n, f]; a view of the store when the eras are neighbours.
    """

    def __init__(self, store: EraStore, eras: Sequence[str], sides: Sides) -> None:
        self.eras = tuple(eras)
        self.x: Codes = store.matrix(self.eras)
        self._offsets = store.offsets(self.eras)
        groups = EraGroups(self._offsets)
        target = store.column(sides.target, self.eras)
        self._groups, self._payout = groups, sides.payout
        self._corr = PreparedCorr(target, groups)
        self._contribution = (
            None if sides.other is None else PreparedContribution(store.column(sides.other, self.eras), target, groups)
        )

    def predicted_by(self, model: Model, plan: Plan) -> FloatArray:
        """float64[n]: what a model says of these rows, era by era where it needs whole eras."""
        return predict_in_eras(model, self.x, self._offsets, plan=plan)

    def corr(self, predictions: FloatArray) -> float:
        """Mean CORR over the eras that have one; 0 for predictions that do not vary, which rank nothing."""
        return _mean(self._corr.of(SortedPredictions(predictions, self._groups)))

    def scores(self, predictions: FloatArray) -> tuple[float, float]:
        """(mean score in the objective's units, mean CORR)."""
        score, corr = self._by_era(predictions)
        return _mean(score), _mean(corr)

    def by_era(self, predictions: FloatArray) -> FloatArray:
        """float64[n_eras]: the score of each era; NaN where it has none."""
        return self._by_era(predictions)[0]

    def _by_era(self, predictions: FloatArray) -> tuple[FloatArray, FloatArray]:
        ordered = SortedPredictions(predictions, self._groups)
        corr = self._corr.of(ordered)
        if self._contribution is None or self._payout is None:
            return corr, corr
        return self._payout.of(corr, self._contribution.of(ordered)), corr


def probe_eras(train: Sequence[str], most: int) -> tuple[str, ...]:
    """At most `most` of the training eras, evenly spread: enough to see the gap, cheap to predict."""
    if len(train) <= most:
        return tuple(train)
    picked = np.linspace(0, len(train) - 1, most).round().astype(int)
    return tuple(train[int(place)] for place in picked)


def _mean(by_era: FloatArray) -> float:
    known = by_era[np.isfinite(by_era)]
    return float(known.mean()) if known.size else 0.0
