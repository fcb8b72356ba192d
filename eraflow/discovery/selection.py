"""From tests to a choice of features for one window, within the budgets, with a reason for each feature."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from eraflow.discovery.association import Associations, MeanTests, mean_tests, overlap_entries
from eraflow.discovery.falsediscovery import q_values
from eraflow.discovery.invariance import search
from eraflow.discovery.moments import Moments, cut_windows, gather, most_candidates
from eraflow.erastore.erareader import EraStore
from eraflow.scoring.ranking import BoolArray, FloatArray, IntArray
from eraflow.settings.selection import SelectionSettings

CHOSEN = "chosen"
FILLED = "kept to reach the least number"
WEAK = "association not significant"
UNSTABLE = "sign not stable"
VARYING = "not the same in all environments"
REDUNDANT = "nothing beyond the chosen ones"
UNEXAMINED = "not examined: too many candidates"
BEYOND = "beyond the most allowed"


@dataclass(frozen=True)
class FeatureSelection:
    """The choice for one window; every array has one entry for each feature of the store.

    Attributes:
        chosen: bool, what models use.
        outcome: why, one of the texts above.
        order: int64, 1 for the feature chosen first; 0 for those that the tests did not choose.
        tests: marginal association.
        q_value: float64, of the marginal association.
        partial_statistic, partial_p, environment_p: float64, NaN where the feature was not examined for invariance.
    """

    chosen: BoolArray
    outcome: list[str]
    order: IntArray
    tests: MeanTests
    q_value: FloatArray
    partial_statistic: FloatArray
    partial_p: FloatArray
    environment_p: FloatArray

    def table(self, features: tuple[str, ...]) -> pl.DataFrame:
        """One row for each feature, in the order of the store."""
        tested = {each.name: getattr(self.tests, each.name) for each in fields(self.tests)}
        return pl.DataFrame(
            {
                "feature": features,
                "chosen": self.chosen,
                "outcome": self.outcome,
                "order": self.order,
                **tested,
                "q_value": self.q_value,
                "partial_statistic": self.partial_statistic,
                "partial_p": self.partial_p,
                "environment_p": self.environment_p,
            }
        )


def choose_features(
    store: EraStore,
    target: str,
    associations: Associations,
    settings: SelectionSettings,
    *,
    overlap_weeks: int,
    threads: int = 1,
) -> FeatureSelection:
    """Choose features by the eras of `associations` alone.

    Args:
        store: read only where invariance is tested, and only in these eras.
        target: a column of the store.
        associations: of the training eras.
        settings: method, rates and budgets.
        overlap_weeks: weeks over which the target's labels overlap.
        threads: eras read at once; nothing depends on it.

    Raises:
        DiscoveryDataError: too few eras for two environments.
    """
    overlap = overlap_entries(associations.eras, overlap_weeks)
    choice = _Choice(mean_tests(associations.values, overlap), settings)
    if settings.method == "invariant":
        cells = cut_windows(len(associations.eras), settings.environments, overlap)
        candidates = choice.candidates(most_candidates(cells))
        moments = gather(store, target, associations.eras, candidates, cells, threads=threads)
        choice.take_invariant(candidates, moments)
    else:
        choice.take(choice.ranked[: settings.most])
    choice.fill()
    return choice.result()


class _Choice:
    """A choice in the making.

    Attributes:
        ranked: int64, those that passed the tests of association, the strongest first.
        order: int64, those that were chosen, in order.
    """

    def __init__(self, tests: MeanTests, settings: SelectionSettings) -> None:
        self.tests, self.settings = tests, settings
        self.q = q_values(tests.p_value, settings.correction)
        self.strength = np.abs(tests.statistic)
        significant, stable = self.q <= settings.false_discovery_rate, tests.stability >= settings.sign_stability
        self.outcome = np.where(significant & stable, BEYOND, np.where(significant, UNSTABLE, WEAK)).astype(object)
        self.ranked = self._strongest(np.flatnonzero(significant & stable))
        self.order = self.filled = np.zeros(0, dtype=np.int64)
        self.partial_statistic, self.partial_p, self.environment_p = (np.full(len(self.q), np.nan) for _ in range(3))

    def candidates(self, most: int) -> IntArray:
        """Those that are examined for invariance, in the order of the store."""
        self.outcome[self.ranked] = UNEXAMINED
        return np.sort(self.ranked[:most])

    def take(self, order: IntArray) -> None:
        """These are chosen, in this order."""
        self.order = order
        self.outcome[order] = CHOSEN

    def take_invariant(self, candidates: IntArray, moments: Moments) -> None:
        """Search among the candidates and note what was found about each."""
        found = search(
            moments,
            rate=self.settings.false_discovery_rate,
            level=self.settings.invariance_level,
            correction=self.settings.correction,
            most=self.settings.most,
        )
        self.outcome[candidates] = BEYOND if found.full else REDUNDANT
        aside = np.array([*found.aside, *found.dropped], dtype=np.int64)
        varying = aside[~(found.environment_p[aside] >= self.settings.invariance_level)]  # NaN: it could not be tested
        self.outcome[candidates[varying]] = VARYING
        self.partial_statistic[candidates] = found.statistic
        self.partial_p[candidates] = found.p_value
        self.environment_p[candidates] = found.environment_p
        self.take(candidates[np.array(found.chosen, dtype=np.int64)])

    def fill(self) -> None:
        """Add the strongest of the others until there are `least`; those found unstable or varying come last."""
        least = min(self.settings.least, self.settings.most or self.settings.least)
        others = self._strongest(np.setdiff1d(np.arange(len(self.q)), self.order))
        late = np.isin(self.outcome[others].astype(str), [UNSTABLE, VARYING])
        self.filled = others[np.argsort(late, kind="stable")][: max(0, least - len(self.order))]
        self.outcome[self.filled] = FILLED

    def result(self) -> FeatureSelection:
        """The finished choice."""
        order = np.zeros(len(self.q), dtype=np.int64)
        order[self.order] = np.arange(1, len(self.order) + 1)
        chosen = np.isin(np.arange(len(self.q)), [*self.order, *self.filled])
        examined = (self.partial_statistic, self.partial_p, self.environment_p)
        return FeatureSelection(chosen, self.outcome.tolist(), order, self.tests, self.q, *examined)

    def _strongest(self, positions: IntArray) -> IntArray:
        """The strongest first; equals in the order of the store."""
        return positions[np.argsort(-self.strength[positions], kind="stable")]
