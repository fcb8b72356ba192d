"""The stage that looks for features which hold the answer; what it finds is judged by the gate.

out/leaks.json  {"features", "targets": {target: {"eras", "rows", "strong", "features": [the most suspicious first]}}}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from eraflow.discovery.association import MeanTests, mean_tests
from eraflow.discovery.leakage import Scan, scan
from eraflow.discovery.othertargets import read_other_targets
from eraflow.disk.atomic import write_json
from eraflow.erastore.erareader import EraStore
from eraflow.machine.job import How, stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.scoring.ranking import FloatArray
from eraflow.scoring.statistics import min_eras

LEAKS_STAGE = "leaks"
"""The name of the stage and its folder."""
LEAKS = "leaks.json"
KEPT = 25
"""Features that are written for each target and figure."""
OTHERS_EVERY = 4
"""Of the eras in which targets are looked at that nobody learns: there may be forty of them."""
LEAST_SCORE = 7.0
"""Beyond chance: a standard normal score is larger once in 390,000 million; the largest data there are, 3,555 features
in 1,200 eras with 40 targets, have 680 million of single eras, so that one exceeds it in one of 600 weeks."""
STRONG = 0.9
"""Quantile of the features: where a tenth is strong, a strong one is no leak."""
FALSE_ALARM = 0.001
"""Chance with which, over all features of a target, some bound lies above the true mean."""


@dataclass(frozen=True, kw_only=True)
class LeakJob:
    """The data that are looked through.

    Attributes:
        overlaps: target -> weeks over which its labels overlap.
        store: folder of the era store.
        files: train and validation, for the targets that the store does not hold.
    """

    overlaps: dict[str, int]
    store: How[Path]
    files: How[tuple[Path, ...]] = ()


@stage_function(LeakJob)
def find_leaks(job: LeakJob, out: Path, plan: Plan) -> dict[str, Any]:
    """Write `out/leaks.json`: the features that are most likely to hold each target, with their figures.

    Returns:
        features and eras that were looked at, and for each target the largest figure of each sort.
    """
    store = EraStore.open(job.store)
    absent = [target for target in job.overlaps if target not in store.columns]
    found = scan(
        store,
        job.overlaps,
        others=read_other_targets(job.files, absent, store.eras[::OTHERS_EVERY]),
        threads=plan.threads,
        progress=lambda done, total: report(done, total, f"looking for leaks, era {done} of {total}"),
    )
    told = {target: _told(each) for target, each in found.items()}
    write_json(out / LEAKS, {"features": len(store.features), "targets": told})
    largest = {
        target: {name: max((row[name] for row in each["features"]), default=0.0) for name in FIGURES}
        for target, each in told.items()
    }
    return {"features": len(store.features), "eras": len(store.eras), "largest": largest}


FIGURES = ("bound", "era_corr", "copy", "copy_score")
"""By which a feature is suspicious."""


def _told(found: Scan) -> dict[str, Any]:
    """The figures of the most suspicious features of one target.

    `strong` is the size of mean association that a tenth of the features exceed. Of each feature: `corr`, its mean
    association; `bound`, how far from zero that is at the least, with `FALSE_ALARM` over all features; `era_corr` and
    `corr_era`, the largest of a single era; `copy`, about the share of rows that are copied in `copy_eras`: in all
    eras, a block of them or one, 0 where none is beyond chance; `copy_score`, the largest standard normal score.
    """
    if not found.eras:
        return {"eras": 0, "rows": 0, "strong": 0.0, "features": []}
    association = np.stack(found.association).astype(np.float64)
    tests = mean_tests(association, found.overlap)
    sizes = np.abs(np.where(np.isfinite(association), association, 0.0))
    spans = (found.whole, found.block, found.single)
    scores = np.stack([span.score for span in spans])
    shares = np.where(scores > LEAST_SCORE, np.stack([span.share for span in spans]), 0.0)
    # The span that tells most of a copy: the clearest, unless it is one of very few rows among very many.
    clearest = (shares * scores).argmax(axis=0)
    figures = {
        "bound": least_means(tests, len(found.features), min_eras(found.overlap)),
        "era_corr": sizes.max(axis=0),
        "copy": np.take_along_axis(shares, clearest[None], axis=0)[0],
        "copy_score": scores.max(axis=0),
    }
    kept = np.unique(np.concatenate([np.argsort(-values, kind="stable")[:KEPT] for values in figures.values()]))
    order = np.lexsort([-figures["copy_score"][kept], -figures["bound"][kept], -figures["copy"][kept]])
    rows = []
    for at in kept[order].tolist():
        span = spans[int(clearest[at] if shares[:, at].any() else scores[:, at].argmax())]
        rows.append(
            {
                "feature": found.features[at],
                "corr": _rounded(tests.mean[at]),
                **{name: _rounded(values[at]) for name, values in figures.items()},
                "corr_era": found.eras[int(sizes[:, at].argmax())],
                "copy_eras": _eras_in_words(found.eras, int(span.first[at]), int(span.last[at])),
            }
        )
    strong = float(np.quantile(np.abs(np.nan_to_num(tests.mean)), STRONG, method="lower"))
    return {"eras": len(found.eras), "rows": found.rows, "strong": _rounded(strong), "features": rows}


def least_means(tests: MeanTests, count: int, least_eras: int) -> FloatArray:
    """float64[f]: how far each mean lies from zero at the least; 0 where nothing is claimed.

    Args:
        tests: of the means.
        count: features over which the chance of a false alarm is shared (Bonferroni).
        least_eras: from so many on something is claimed.
    """
    quantile = stdtrit(tests.degrees, 1 - FALSE_ALARM / (2 * count))
    size = np.abs(np.nan_to_num(tests.mean))
    # Without any variance the statistic is told as 0: a feature that is the target, the same in every era.
    error = np.divide(size, np.abs(tests.statistic), out=np.zeros(len(size)), where=tests.statistic != 0)
    return np.where(tests.eras >= least_eras, np.maximum(size - quantile * error, 0.0), 0.0)


def _eras_in_words(eras: Sequence[str], first: int, last: int) -> str:
    if first == last:
        return f"era {eras[first]}"
    return f"{last + 1 - first} eras {eras[first]} to {eras[last]}"


def _rounded(value: float) -> float:
    return round(float(value), 6) if np.isfinite(value) else 0.0


def read_leaks(folder: Path) -> dict[str, Any]:
    """What `find_leaks` wrote."""
    found: dict[str, Any] = json.loads((folder / LEAKS).read_text(encoding="utf-8"))
    return found
