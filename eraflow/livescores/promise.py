"""What the backtest of exactly the ensemble that was sent promised: the scores of its out-of-fold eras, one by one.

A promise is written when a submission is accepted, beside the slot's scores, because runs are cleaned and champions
replaced before the scores are final, 88 days later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.scoring.scoring import ModelScores
from eraflow.scoring.statistics import LongRunVariance, long_run_variance, overlap_weeks

FOLDER = "promises"
METRICS = ("corr", "mmc", "bmc", "payout")
USUAL = (0.05, 0.95)


@dataclass(frozen=True)
class LivePromise:
    """What was promised of one submission.

    Attributes:
        submission, round_number: which.
        signature: of the ensemble that was sent.
        run: name of the folder of the run that sent it.
        target, horizon_days: what the backtest is of.
        multipliers: name of each score that the round paid -> multiplier; empty where that was not told.
        per_era: metric -> scores of the out-of-fold eras, the oldest first.
    """

    submission: str
    round_number: int
    signature: str
    run: str
    target: str
    horizon_days: int
    multipliers: dict[str, float]
    per_era: dict[str, list[float]]

    def mean(self, metric: str) -> float | None:
        """Mean over the eras; None where there are none."""
        values = self.per_era.get(metric) or []
        return float(np.mean(values)) if values else None

    def usual(self, metric: str) -> tuple[float | None, float | None]:
        """Between what nine of ten eras lay."""
        values = self.per_era.get(metric) or []
        if not values:
            return None, None
        low, high = np.quantile(values, USUAL)
        return float(low), float(high)

    def long_run(self, metric: str) -> LongRunVariance:
        """The variance that the overlap of the labels leaves to a mean of these eras; see `long_run_variance`."""
        return long_run_variance(self.per_era.get(metric) or [], overlap_weeks(self.horizon_days))


def promise_of(
    scores: ModelScores,
    *,
    submission: str,
    round_number: int,
    signature: str,
    run: str,
    target: str,
    horizon_days: int,
    multipliers: Mapping[str, float] | None,
) -> LivePromise:
    """The promise that a backtest makes; eras that a metric does not cover are left out of it."""
    per_era = {
        metric: [float(value) for value in scores.per_era[metric][1] if np.isfinite(value)]
        for metric in METRICS
        if metric in scores.per_era
    }
    return LivePromise(submission, round_number, signature, run, target, horizon_days, dict(multipliers or {}), per_era)


def keep_promise(folder: Path, promise: LivePromise) -> Path:
    """Write it into the folder of a slot's scores; the same one again changes nothing."""
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    return write_json(place / f"{promise.round_number}-{value_sha256(promise.submission)[:12]}.json", asdict(promise))


def promises(folder: Path) -> dict[str, LivePromise]:
    """Submission id -> its promise; one that cannot be read is none."""
    found = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        told: dict[str, Any] | None = read_object(path)
        try:
            promise = LivePromise(**(told or {}))
        except TypeError:
            continue
        found[promise.submission] = promise
    return found
