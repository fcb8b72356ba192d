"""The judgement on an adapted base: better than the unadapted one on purged eras, by more than noise, or not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.data.eras import PURGE_MARGIN_WEEKS
from eraflow.machine.plan import Plan
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.statistics import min_eras, paired_comparison
from models.base.wholeeras import one_era, predict_in_eras
from models.networks.adaptationrows import RowsOfEras
from models.networks.networkmodel import NetworkModel

CONFIDENCE = 0.95
"""One-sided, of the lower bound."""


def judge(rows: RowsOfEras, adapted: NetworkModel, base: NetworkModel, *, margin: float, plan: Plan) -> dict[str, Any]:
    """Whether adapters are merged: where the lower bound of `compared` lies above the margin; and why, in words."""
    found = compared(rows, adapted, base, plan)
    bound = found["lower_bound"]
    found |= {"margin": margin, "merged": bound is not None and bound > margin}
    return {**found, "why": in_words(found)}


def compared(rows: RowsOfEras, adapted: NetworkModel, base: NetworkModel, plan: Plan) -> dict[str, Any]:
    """The paired comparison of CORR on these rows: `difference` and its `lower_bound`, None where there is none.

    The labels of eras that are `purge - margin + 1` weeks apart do not overlap; where eras are left out, that are
    fewer of them.
    """
    scores = np.stack([_corr(model, rows, plan) for model in (adapted, base)])
    scores = scores[:, np.isfinite(scores).all(axis=0)]
    spacing = int(np.diff(rows.known_weeks).min()) if len(rows.known_weeks) > 1 else 1
    overlap = -(-max(1, rows.eras.purge_weeks - PURGE_MARGIN_WEEKS + 1) // spacing)
    if scores.shape[1] < min_eras(overlap):
        return {"eras": scores.shape[1], "difference": None, "lower_bound": None}
    interval = paired_comparison(scores[0], scores[1], overlap, CONFIDENCE).interval
    return {
        "eras": interval.eras,
        "difference": interval.mean,
        "lower_bound": interval.low if math.isfinite(interval.low) else None,
    }


def _corr(model: Any, rows: RowsOfEras, plan: Plan) -> npt.NDArray[np.float64]:
    """CORR of each era with a known target."""
    eras = rows.known_eras()
    values = [predict_in_eras(model, rows.x[part], one_era(part.stop - part.start), plan=plan) for part in eras]
    target = np.concatenate([rows.y[part].astype(np.float64) for part in eras])
    return era_corr(np.concatenate(values), target, EraGroups.from_sizes([part.stop - part.start for part in eras]))


def unjudged(why: str) -> dict[str, Any]:
    """Where nothing was compared, and so nothing is merged."""
    return {"eras": 0, "difference": None, "lower_bound": None, "merged": False, "why": why}


def in_words(found: Mapping[str, Any]) -> str:
    """A judgement for people."""
    bound, margin = found["lower_bound"], found["margin"]
    if bound is None:
        return f"not merged: {found['eras']} judged eras are too few for a bound"
    told = f"the lower bound {bound:+.4f} of the difference in CORR on {found['eras']} eras is"
    return f"merged: {told} above {margin:.4f}" if found["merged"] else f"not merged: {told} not above {margin:.4f}"
