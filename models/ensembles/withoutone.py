"""The blend without each of its members in turn: the same procedure on those that are left, scored exactly.

Where weights are learnt they are learnt again without the member, so what is compared is the procedure with it and the
procedure without it. Both are taken before anything is neutralised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.disk.atomic import write_json
from eraflow.scoring.metrics import PreparedContribution, PreparedCorr, SortedPredictions
from eraflow.scoring.payout import Payout, payout_scores
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import FloatArray
from models.ensembles.eratables import KnownTruth
from models.ensembles.numeraitables import gaussianised, standardised

WITHOUT = "without.json"

BlendOf = Callable[[FloatArray, Sequence[str]], FloatArray]
"""float64[n], the blend of some members: float64[n, k], and their names."""
Told = Callable[[str], None]


class ExactScorer:
    """CORR, MMC, BMC and what is paid, of many predictions of the same rows.

    Args:
        truth: of the rows.
        groups: their eras.
        payout: what an era pays.
    """

    def __init__(self, truth: KnownTruth, groups: EraGroups, payout: Payout) -> None:
        self._groups, self._payout = groups, payout
        self._corr = PreparedCorr(truth.target, groups)
        self._against = {
            name: PreparedContribution(model, truth.target, groups)
            for name, model in (("mmc", truth.meta_model), ("bmc", truth.benchmark))
            if model is not None
        }

    def of(self, predictions: FloatArray) -> dict[str, FloatArray]:
        """Metric -> float64[n_eras], NaN where there is no score."""
        ordered = SortedPredictions(predictions, self._groups)
        scores = {
            "corr": self._corr.of(ordered),
            **{name: prepared.of(ordered) for name, prepared in self._against.items()},
        }
        return scores | payout_scores(self._payout, scores["corr"], scores.get("mmc"), scores.get("bmc"))


def write_without(
    out: Path,
    blend: FloatArray,
    columns: FloatArray,
    names: Sequence[str],
    groups: EraGroups,
    scorer: ExactScorer,
    blend_of: BlendOf,
    told: Told,
) -> None:
    """Write `out/without.json`, which `eraflow.scoring.memberworth.member_worth` reads; of one member nothing.

    Args:
        out: folder of the stage.
        blend: float64[n], of all members.
        columns: float64[n, k], what the members predict.
        names: theirs.
        groups: the eras of the rows.
        scorer: of blends.
        blend_of: the procedure.
        told: of each member before its turn.
    """
    if len(names) < 2:
        return
    without = {}
    for at, name in enumerate(names):
        told(f"the blend without {name}")
        rest = [other for other in names if other != name]
        without[name] = _plain(scorer.of(blend_of(np.delete(columns, at, axis=1), rest)))
    correlation = {"members": list(names), "values": member_correlations(columns, groups).round(6).tolist()}
    write_json(out / WITHOUT, {"blend": _plain(scorer.of(blend)), "without": without, "correlation": correlation})


def member_correlations(columns: FloatArray, groups: EraGroups) -> FloatArray:
    """float64[k, k]: the mean over eras of the correlations of the members' gaussianised ranks.

    An era in which one of two members is constant counts 0 for the two.
    """
    total = np.zeros((columns.shape[1],) * 2)
    for start, stop in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        standing = standardised(gaussianised(columns[start:stop]))
        total += standing.T @ standing / (stop - start)
    return total / max(groups.n_eras, 1)


def _plain(scores: Mapping[str, FloatArray]) -> dict[str, Any]:
    return {name: [float(value) if np.isfinite(value) else None for value in values] for name, values in scores.items()}
