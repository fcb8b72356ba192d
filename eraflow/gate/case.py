"""What the rules of the gate are given, and how each says what it found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eraflow.gate.verdict import Kind, RuleResult
from eraflow.scoring.ranking import FloatArray
from eraflow.scoring.scoring import NO_ERAS, EraScores, ModelScores
from eraflow.scoring.statistics import min_eras, overlap_weeks
from eraflow.settings.gate import GateSettings


@dataclass(frozen=True)
class Case:
    """What is judged, and by which settings.

    Attributes:
        scores: of the ensemble, out of fold.
        champion: those of the ensemble last shipped; None before the first.
        settings: thresholds.
        horizon_days: of the target, trading days.
        models_trained, models_wanted: members of the ensemble, and how many the settings name.
        benchmark: the scores of the benchmark on the same eras; None: there is none.
        leaks: what `eraflow.discovery.leakstage` found; None: nobody looked.
        history: CORR of the benchmark in every era of the data in which it is known.
        tried: CORR of every other configuration that was judged on these eras, this week's first.
    """

    scores: ModelScores
    champion: ModelScores | None
    settings: GateSettings
    horizon_days: int
    models_trained: int
    models_wanted: int
    benchmark: ModelScores | None = None
    leaks: Mapping[str, Any] | None = None
    history: EraScores = NO_ERAS
    tried: Sequence[EraScores] = ()

    @property
    def overlap(self) -> int:
        """Weeks over which labels overlap."""
        return overlap_weeks(self.horizon_days)

    def era_scores(self, metric: str) -> EraScores:
        """The eras of a metric; none when it was not measured."""
        return self.scores.per_era.get(metric, NO_ERAS)


@dataclass(frozen=True)
class Ask:
    """What a rule asks for, and of which eras: the part of its result that is known before judging."""

    name: str
    kind: Kind
    threshold: float | None
    over: EraScores
    error_rate: float | None = None

    def result(self, passed: bool, text: str, figure: float | None = None, bound: float | None = None) -> RuleResult:
        """What was found; figures that are not finite are none."""
        eras = self.over.eras
        return RuleResult(
            name=self.name,
            passed=passed,
            threshold=self.threshold,
            figure=_finite(figure),
            bound=_finite(bound),
            eras=len(eras),
            first_era=eras[0] if eras else "",
            last_era=eras[-1] if eras else "",
            kind=self.kind,
            text=f"{self.name} ({self.kind}): {text}; {_span(self.over)}",
            error_rate=self.error_rate,
        )

    def not_judged(self, why: str) -> RuleResult:
        """There was nothing to judge."""
        found = self.result(True, f"not judged, {why}")
        return RuleResult(**{**vars(found), "judged": False})


def on_common_eras(ours: EraScores, theirs: EraScores) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """The eras that both have, and the scores of both there, float64[n]."""
    own, other = (dict(zip(*each, strict=True)) for each in (ours, theirs))
    eras = tuple(era for era in own if era in other)
    return eras, np.array([own[era] for era in eras]), np.array([other[era] for era in eras])


def too_few(case: Case, metric: str) -> str | None:
    """Why no bound can be given of a metric; None where it can."""
    eras = len(case.era_scores(metric).eras)
    if eras >= min_eras(case.overlap):
        return None
    missing = "" if eras else f"{metric.upper()} has no era (nothing to compare with covers the judged eras), "
    return f"{missing}{eras} eras, {needed(case)} needed"


def needed(case: Case) -> str:
    """How many eras a bound needs."""
    return f"at least {min_eras(case.overlap)} (twice the {case.overlap} weeks that labels overlap)"


def _span(over: EraScores) -> str:
    return f"{len(over.eras)} eras {over.eras[0]} to {over.eras[-1]}" if over.eras else "no eras"


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
