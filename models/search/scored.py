"""Rows on which a growing model is scored: held-out eras, and some of the training eras for the gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from eraflow.scoring.metrics import PreparedContribution, PreparedCorr, SortedPredictions
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import Codes, FloatArray, Model
from models.base.wholeeras import predict_in_eras
from models.search.objective import PayoutMix


@dataclass(frozen=True)
class Sides:
    """Where the scores come from.

    Attributes:
        target: column of the payout target.
        other: column of the meta model or benchmark that contribution is measured against; None: CORR alone.
        mix: how CORR and contribution become one score.
    """

    target: str
    other: str | None
    mix: PayoutMix


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
        self._groups, self._mix = groups, sides.mix
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
        """(score in the objective's units, mean CORR)."""
        ordered = SortedPredictions(predictions, self._groups)
        corr = _mean(self._corr.of(ordered))
        if self._contribution is None:
            return corr, corr
        return self._mix(corr, _mean(self._contribution.of(ordered))), corr

    def by_era(self, predictions: FloatArray) -> FloatArray:
        """float64[n_eras]: the score of each era; NaN where it has none."""
        ordered = SortedPredictions(predictions, self._groups)
        corr = self._corr.of(ordered)
        if self._contribution is None:
            return corr
        contribution = self._contribution.of(ordered)
        return np.asarray(self._mix.corr * corr + self._mix.contribution * contribution)


def probe_eras(train: Sequence[str], most: int) -> tuple[str, ...]:
    """At most `most` of the training eras, evenly spread: enough to see the gap, cheap to predict."""
    if len(train) <= most:
        return tuple(train)
    picked = np.linspace(0, len(train) - 1, most).round().astype(int)
    return tuple(train[int(place)] for place in picked)


def _mean(by_era: FloatArray) -> float:
    known = by_era[np.isfinite(by_era)]
    return float(known.mean()) if known.size else 0.0
