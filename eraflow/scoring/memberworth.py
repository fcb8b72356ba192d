"""What each member is worth to the blend: the blend with it against the blend without it, era by era."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.scoring.pairedmetrics import compared_metric, compared_sharpe
from eraflow.scoring.ranking import FloatArray

PAID = ("payout", "payout_bmc")
"""Where the meta model covers, and elsewhere with BMC; two scores, never one mean."""
METRICS = (*PAID, "corr", "mmc")
SHARPE = "sharpe"


def member_worth(without: Path, overlap: int, confidence: float) -> dict[str, Any]:
    """The worth of each member, from what the blend's stage wrote.

    Args:
        without: its file: `blend`, metric -> the score of each era, null where there is none; `without`, member
            -> the same of the blend without it; `correlation`, members and the mean over eras of their correlations.
        overlap: weeks over which labels overlap.
        confidence: one-sided, of each bound.

    Returns:
        `confidence`; `members`, name -> metric -> `mean` (of the whole blend), `difference` (to the blend without the
        member: what it adds), `low`, `high`, `eras` and `verdict`, for the metrics that there are and `sharpe`, that of
        CORR; `correlation`, as it was written.
    """
    written = json.loads(without.read_text(encoding="utf-8"))
    whole = {name: _scores(values) for name, values in written["blend"].items()}
    members = {}
    for member, scores in written["without"].items():
        rest = {name: _scores(values) for name, values in scores.items()}
        found = {
            name: compared_metric(whole[name], rest[name], overlap, confidence) for name in METRICS if name in whole
        }
        found[SHARPE] = compared_sharpe(whole["corr"], rest["corr"], overlap, confidence)
        members[member] = {name: one for name, one in found.items() if one["eras"]}
    return {"confidence": confidence, "members": members, "correlation": written["correlation"]}


def _scores(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def paid_metric(members: Mapping[str, Any]) -> str:
    """The payout that is shown first: with BMC only where no era has MMC."""
    return PAID[0] if any(PAID[0] in one for one in members.values()) else PAID[1]


def mean_correlations(correlation: Mapping[str, Any]) -> dict[str, float]:
    """The mean correlation of each member with the others."""
    table = np.array(correlation["values"], dtype=np.float64)
    others = (table.sum(axis=1) - np.diag(table)) / max(len(table) - 1, 1)
    return dict(zip(correlation["members"], others.tolist(), strict=True))
