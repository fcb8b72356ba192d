"""What neutralising the blend would be worth, judged out of fold: every proportion against the blend as it is.

Choosing a proportion from this table uses the eras on which the blend is judged; the differences are therefore given
with intervals, and the gate then judges what was chosen as it judges everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eraflow.scoring.exposure import max_exposures
from eraflow.scoring.metrics import PreparedContribution, PreparedCorr, SortedPredictions
from eraflow.scoring.neutralise import Neutraliser, Progress, mixed, one_blas_thread, residual_of_era
from eraflow.scoring.pairedmetrics import compared_metric, compared_sharpe
from eraflow.scoring.payout import TODAY, Payout, payout_scores
from eraflow.scoring.ranking import EraGroups, FloatArray
from eraflow.scoring.scoring import ScoreStore
from eraflow.scoring.statistics import overlap_weeks

PROPORTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Above this estimate the table is left out: it is an advice, and must not hold a week up.
MOST_MINUTES = 60.0
# Multiplications a second of a slow core; the one this was written on does three times as many.
SLOW_RATE = 2e10
# An era whose features depend on each other in a way that only a singular value decomposition settles: measured.
LSTSQ_FACTOR = 12.0
# Eras whose features are tried before the estimate.
TRIED_ERAS = 3


@dataclass(frozen=True)
class JudgedEras:
    """What the proportions are judged with.

    Attributes:
        eras: labels of the judged eras, oldest first.
        target: column of the target.
        horizon_days: its horizon in trading days.
        benchmark: column for BMC; None leaves it out.
        meta_model: column for MMC; None leaves it out.
        confidence: one-sided confidence of each bound.
        payout: what an era pays.
    """

    eras: Sequence[str]
    target: str
    horizon_days: int
    benchmark: str | None
    meta_model: str | None
    confidence: float
    payout: Payout = TODAY


def neutralisation_worth(
    store: ScoreStore,
    blend: FloatArray,
    features: Sequence[str],
    chosen: float,
    judged: JudgedEras,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The table of proportions.

    Args:
        store: the era store.
        blend: float64[n], not neutralised, aligned with the store's rows of the judged eras.
        features: what is neutralised to, in the order of the store.
        chosen: the proportion of the settings; it is in the table, whatever it is.
        judged: eras, columns and confidence.
        progress: told (eras done, eras).

    Returns:
        `features`, their number; `chosen`; `confidence`; `proportions`, a list with `proportion`, `explained_eras` (of
        which nothing is left), and for each metric (corr, sharpe, payout, payout_bmc, mmc, bmc, max_exposure) its
        `mean`, `eras`, and `difference`, `low`, `high` and `verdict` of the comparison with proportion 0. Better is
        what is larger, save for max_exposure. Or `left_out`: why there is no table.
    """
    groups = EraGroups(store.offsets(judged.eras))
    minutes = estimated_minutes(store, features, judged.eras)
    if minutes > MOST_MINUTES:
        return {"left_out": f"it was reckoned to take {minutes:,.0f} minutes, more than {MOST_MINUTES:.0f}"}
    asked = sorted({*PROPORTIONS, chosen})
    residual, exposures = _one_pass(store, blend, features, judged.eras, groups, asked, progress)
    scorers = dict(_scorers(store, groups, judged))
    overlap = overlap_weeks(judged.horizon_days)
    plain: dict[str, FloatArray] = {}
    rows = []
    for at, proportion in enumerate(asked):
        values = mixed(blend, residual, proportion) if proportion else blend
        scores = {name: scorer.of(SortedPredictions(values, groups)) for name, scorer in scorers.items()}
        scores |= payout_scores(judged.payout, scores["corr"], scores.get("mmc"), scores.get("bmc"))
        scores["max_exposure"] = exposures[:, at]
        plain = plain or scores
        compared = {
            name: compared_metric(
                scores[name], plain[name], overlap, judged.confidence, smaller_is_better=name == "max_exposure"
            )
            for name in scores
        }
        compared["sharpe"] = compared_sharpe(scores["corr"], plain["corr"], overlap, judged.confidence)
        gone = int(np.sum(groups.constant(values) & ~groups.constant(blend)))
        rows.append({"proportion": proportion, "explained_eras": gone, **compared})
    return {
        "features": len(features),
        "chosen": chosen,
        "confidence": judged.confidence,
        "proportions": rows,
    }


def estimated_minutes(store: ScoreStore, features: Sequence[str], eras: Sequence[str]) -> float:
    """Minutes on a slow core, from the numbers of rows and features and a look at a few eras; always the same."""
    rows = np.diff(store.offsets(eras)).astype(np.float64)
    seconds = float(np.sum(rows)) * len(features) ** 2 / SLOW_RATE
    if seconds < MOST_MINUTES * 60 / LSTSQ_FACTOR:
        return seconds / 60
    tried = [eras[int(at)] for at in np.linspace(0, len(eras) - 1, TRIED_ERAS)]
    with one_blas_thread():
        slow = np.mean([Neutraliser(store.matrix([era], list(features))).method == "lstsq" for era in tried])
    return seconds / 60 * (1 + (LSTSQ_FACTOR - 1) * float(slow))


def _one_pass(
    store: ScoreStore,
    blend: FloatArray,
    features: Sequence[str],
    eras: Sequence[str],
    groups: EraGroups,
    proportions: Sequence[float],
    progress: Progress | None,
) -> tuple[FloatArray, FloatArray]:
    """Residuals float64[n], and the maximum exposure to any feature of the store, float64[n_eras, proportions]."""
    residual, exposures = blend.copy(), np.full((groups.n_eras, len(proportions)), np.nan)
    whole = tuple(features) == tuple(store.features)
    with one_blas_thread():
        for at, era in enumerate(eras):
            rows = slice(int(groups.offsets[at]), int(groups.offsets[at + 1]))
            every = store.matrix([era])
            chosen = every if whole else store.matrix([era], list(features))
            residual[rows] = residual_of_era(blend[rows], chosen)
            mixtures = [mixed(blend[rows], residual[rows], proportion) for proportion in proportions]
            exposures[at] = max_exposures(np.stack(mixtures, axis=1), every)
            if progress is not None:
                progress(at + 1, groups.n_eras)
    return residual, exposures


def _scorers(
    store: ScoreStore, groups: EraGroups, judged: JudgedEras
) -> Iterator[tuple[str, PreparedCorr | PreparedContribution]]:
    target = store.column(judged.target, judged.eras)
    yield "corr", PreparedCorr(target, groups)
    for name, against in (("mmc", judged.meta_model), ("bmc", judged.benchmark)):
        if against is not None:
            yield name, PreparedContribution(store.column(against, judged.eras), target, groups)
