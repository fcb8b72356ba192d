"""Score predictions as Numerai does, era by era, and sum the eras up honestly.

`score_predictions` is the one way in which models, blends, benchmarks and a user's own file are scored. The scores
themselves are in `metrics` (CORR, contribution, rank correlation) and `exposure` (FNC, maximum feature exposure), the
intervals in `statistics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from eraflow.errors import EraflowError
from eraflow.scoring.exposure import fnc_by_era, max_exposure_by_era
from eraflow.scoring.metrics import (
    MAX_DROPPED,
    PreparedContribution,
    PreparedCorr,
    SortedPredictions,
    column,
    rank_correlation,
)
from eraflow.scoring.neutralise import FeaturesOf, Progress
from eraflow.scoring.payout import TODAY, Payout, payout_scores
from eraflow.scoring.ranking import EraGroups, FloatArray, ScoreInputError
from eraflow.scoring.statistics import MetricSummary, overlap_weeks, summarise


class NothingToScoreError(EraflowError):
    """Not one era has a CORR: predictions are constant or missing, or no target is known yet."""

    code = "nothing_to_score"


class ScoreStore(Protocol):
    """What scoring needs of an era store."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the feature columns."""

    def column(self, name: str, eras: Sequence[str] | None = None) -> FloatArray:
        """float64 values of a column, NaN where not known."""

    def matrix(self, eras: Sequence[str] | None = None, features: Sequence[str] | None = None) -> npt.NDArray[np.int8]:
        """int8[n, f] levels."""

    def offsets(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.int64]:
        """Row starts of the eras and the end."""


class EraScores(NamedTuple):
    """One metric on the eras where it exists, oldest first."""

    eras: tuple[str, ...]
    values: tuple[float, ...]


NO_ERAS = EraScores((), ())


@dataclass(frozen=True)
class ModelScores:
    """Everything that was measured about one set of predictions.

    Attributes:
        target: the target that was scored against.
        horizon_days: its horizon in trading days.
        rows: rows of the judged eras.
        missing_predictions: how many of them have no finite prediction.
        unscored_eras: eras with a known target but without a CORR (constant or missing predictions).
        per_era: metric -> (eras, values), only the eras that the metric covers. Metrics: corr, mmc, bmc, payout
            (where there is MMC), payout_bmc (with BMC, where there is no MMC), fnc, benchmark_corr, max_exposure.
        summary: metric -> its summary over these eras.
    """

    target: str
    horizon_days: int
    rows: int
    missing_predictions: int
    unscored_eras: tuple[str, ...] = ()
    per_era: Mapping[str, EraScores] = field(default_factory=dict)
    summary: Mapping[str, MetricSummary] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "target": self.target,
            "horizon_days": self.horizon_days,
            "rows": self.rows,
            "missing_predictions": self.missing_predictions,
            "unscored_eras": list(self.unscored_eras),
            "per_era": {name: {"eras": list(s.eras), "values": list(s.values)} for name, s in self.per_era.items()},
            "summary": {name: summary.as_dict() for name, summary in self.summary.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelScores:
        """The inverse of `as_dict`."""
        return cls(
            target=values["target"],
            horizon_days=values["horizon_days"],
            rows=values["rows"],
            missing_predictions=values["missing_predictions"],
            unscored_eras=tuple(values["unscored_eras"]),
            per_era={name: EraScores(tuple(s["eras"]), tuple(s["values"])) for name, s in values["per_era"].items()},
            summary={name: MetricSummary.from_dict(summary) for name, summary in values["summary"].items()},
        )


def score_predictions(
    store: ScoreStore,
    predictions: npt.ArrayLike,
    *,
    eras: Sequence[str],
    target: str,
    horizon_days: int,
    benchmark: str | None = None,
    meta_model: str | None = None,
    fnc_features: Sequence[str] | None = None,
    payout: Payout = TODAY,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> ModelScores:
    """Score one column of predictions on the given eras of a store.

    Args:
        store: an era store that holds the target and, where named, the benchmark and the meta model.
        predictions: float64[n], aligned with the store's rows of `eras`; what is not finite is no prediction.
        eras: labels of the eras, oldest first. Eras whose target is not known are passed over.
        target: column of the target.
        horizon_days: horizon of the target in trading days.
        benchmark: column for BMC and benchmark_corr; None leaves both out.
        meta_model: column for MMC; None leaves it out.
        fnc_features: features that FNC neutralises to; None or empty leaves FNC out.
        payout: what an era pays.
        confidence: one-sided confidence of the bounds in the summary.
        progress: told (eras done, eras) while features are read, first for FNC, then for exposure.

    Raises:
        NothingToScoreError: when not one era has a CORR.
        ScoreInputError: when the predictions do not fit the rows, or an FNC feature is not in the store.
    """
    groups = EraGroups(store.offsets(eras))
    values = only_finite(column(predictions, groups, "predictions"))
    goal = column(store.column(target, eras), groups, target)
    scores = _ranked_scores(store, values, goal, groups, eras, benchmark, meta_model)
    _require_a_score(scores["corr"], values, goal, target)
    scores |= payout_scores(payout, scores["corr"], scores.get("mmc"), scores.get("bmc"))
    scores |= _feature_scores(store, values, goal, groups, eras, fnc_features, progress)
    known = groups.counts(~np.isnan(goal)) >= (1 - MAX_DROPPED) * groups.sizes
    missed = known & (groups.sizes > 0) & np.isnan(scores["corr"])
    per_era = {name: covered for name, figures in scores.items() if (covered := _covered(eras, figures)).eras}
    overlap = overlap_weeks(horizon_days)
    return ModelScores(
        target=target,
        horizon_days=horizon_days,
        rows=groups.n_rows,
        missing_predictions=int(np.isnan(values).sum()),
        unscored_eras=tuple(eras[int(i)] for i in np.flatnonzero(missed)),
        per_era=per_era,
        summary={name: summarise(name, s.eras, s.values, overlap, confidence) for name, s in per_era.items()},
    )


def only_finite(values: FloatArray) -> FloatArray:
    """NaN in place of what is infinite: the one rule of counting, scoring and the gate; a submission refuses both.

    numerai_tools, and `metrics` with it, would rank an infinite value as the highest or lowest of its era.
    """
    return values if np.isfinite(values).all() else np.where(np.isfinite(values), values, np.nan)


def _ranked_scores(
    store: ScoreStore,
    predictions: FloatArray,
    target: FloatArray,
    groups: EraGroups,
    eras: Sequence[str],
    benchmark: str | None,
    meta_model: str | None,
) -> dict[str, FloatArray]:
    """The scores that rest on ranks alone; all share one sort of the predictions."""
    ordered = SortedPredictions(predictions, groups)
    scores = {"corr": PreparedCorr(target, groups).of(ordered)}
    if meta_model is not None:
        scores["mmc"] = PreparedContribution(store.column(meta_model, eras), target, groups).of(ordered)
    if benchmark is not None:
        other = store.column(benchmark, eras)
        scores["bmc"] = PreparedContribution(other, target, groups).of(ordered)
        scores["benchmark_corr"] = rank_correlation(other, groups).of(ordered)
    return scores


def _feature_scores(
    store: ScoreStore,
    predictions: FloatArray,
    target: FloatArray,
    groups: EraGroups,
    eras: Sequence[str],
    fnc_features: Sequence[str] | None,
    progress: Progress | None,
) -> dict[str, FloatArray]:
    scores = {}
    if fnc_features:
        features_of = _reader(store, eras, fnc_features)
        scores["fnc"] = fnc_by_era(predictions, features_of, target, groups, progress)
    scores["max_exposure"] = max_exposure_by_era(predictions, _reader(store, eras, None), groups, progress)
    return scores


def _reader(store: ScoreStore, eras: Sequence[str], features: Sequence[str] | None) -> FeaturesOf:
    """A function that reads one era's features, so that the whole matrix never lies in memory."""
    unknown = sorted(set(features or ()) - set(store.features))
    if unknown:
        raise ScoreInputError(
            f"{len(unknown)} FNC features are not in the store, such as {unknown[0]}", "add them to it"
        )
    chosen = None if features is None or tuple(features) == tuple(store.features) else list(features)
    return lambda era: store.matrix([eras[era]], chosen)


def _covered(eras: Sequence[str], figures: FloatArray) -> EraScores:
    where = np.flatnonzero(np.isfinite(figures))
    return EraScores(tuple(eras[int(i)] for i in where), tuple(figures[where].tolist()))


def _require_a_score(corr: FloatArray, predictions: FloatArray, target: FloatArray, name: str) -> None:
    if np.isfinite(corr).any():
        return
    counts = (
        f"{len(corr)} eras, {len(predictions)} rows, {int(np.isnan(predictions).sum())} without a prediction, "
        f"{int(np.isnan(target).sum())} without {name}"
    )
    known = predictions[~np.isnan(predictions)]
    if known.size < (1 - MAX_DROPPED) * len(predictions):  # few values may well be equal, and no model is to blame
        raise NothingToScoreError(
            f"no era has a CORR ({counts})",
            f"score whole eras: one has a CORR where at least {1 - MAX_DROPPED:.0%} of its rows have a prediction",
        )
    if known.size and known.min() == known.max():
        raise NothingToScoreError(
            f"all predictions are {known[0]:g} ({counts})", "train the model again: it learnt nothing"
        )
    raise NothingToScoreError(
        f"no era has a CORR ({counts})", "score eras whose target is known, with a prediction a row"
    )
