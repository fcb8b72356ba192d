"""What a blend is really paid: ranked again, era by era, in both measures."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from eraflow.scoring.metrics import PreparedContribution, PreparedCorr, SortedPredictions
from eraflow.scoring.payout import Payout
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import FloatArray
from models.ensembles.eratables import KnownTruth


def exact_payouts(blend: FloatArray, groups: EraGroups, truth: KnownTruth, payout: Payout) -> FloatArray:
    """float64[n_eras]: what Numerai pays, with the cut; BMC stands in where the meta model covers nothing.

    Args:
        blend: float64[n], finite.
        groups: the eras of the rows.
        truth: what is known of the rows.
        payout: the multipliers and the cut.

    Returns:
        NaN in eras without a target, and of a contribution without either model.
    """
    ordered = SortedPredictions(blend, groups)
    corr = PreparedCorr(truth.target, groups).of(ordered)
    contribution = np.full(groups.n_eras, np.nan)
    for model in (truth.benchmark, truth.meta_model):  # the meta model last: it is what pays
        if model is not None:
            found = PreparedContribution(model, truth.target, groups).of(ordered)
            contribution = np.where(np.isfinite(found), found, contribution)
    return payout.of(corr, contribution)


def rank_payouts(blend: FloatArray, groups: EraGroups, truth: KnownTruth, payout: Payout) -> FloatArray:
    """float64[n_eras]: the same by Spearman and partial Spearman, without the cut; NaN likewise."""
    result = np.full(groups.n_eras, np.nan)
    for era, (first, last) in enumerate(zip(groups.offsets[:-1], groups.offsets[1:], strict=True)):
        rows = slice(int(first), int(last))
        own = truth.at(rows)
        known = np.isfinite(own.target)
        for model in (own.meta_model, own.benchmark):
            both = known if model is None else known & np.isfinite(model)
            if model is not None and both.sum() >= max(3, 0.8 * len(known)):
                result[era] = _rank_payout(blend[rows][both], own.target[both], model[both], payout)
                break
    return result


def _rank_payout(blend: FloatArray, target: FloatArray, model: FloatArray, payout: Payout) -> float:
    """Of one era; NaN where something does not vary, or is explained by the model completely."""
    with np.errstate(invalid="ignore", divide="ignore"):
        plain, against, truth = np.corrcoef([rankdata(blend), rankdata(model), rankdata(target)])[[0, 0, 1], [2, 1, 2]]
        partial = (plain - against * truth) / np.sqrt((1 - against**2) * (1 - truth**2))
    return float(payout.corr * plain + payout.mmc * partial)
