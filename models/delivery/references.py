"""What an ensemble says of rows that are drawn by chance: what its pickle is measured by."""

from __future__ import annotations

from typing import Any

import numpy as np

from eraflow.rehearsal.reference import Reference
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import Codes
from models.base.rows import LEVELS
from models.base.wholeeras import one_era
from models.delivery.shippedparts import BAG
from models.ensembles.ensemble import Ensemble

ROWS = 300
"""More than one block of a network, and not a multiple of one."""
SPARE_ROWS = 50
"""Above the number of features that are neutralised to: fewer rows than features leave nothing."""
EXACT, NETWORK = 1e-9, 1e-5
"""By how much a part may differ, in standard deviations of its reference: trees are the same sums of the same leaves in
every version of their library, those of XGBoost in float32; matrix products of a network depend on the BLAS.
"""
SINGLE = 1e-6
RANKED = 0.05
"""Two neighbours of ROWS that change places in one part of a bag move by .017 standard deviations at the most."""
TOLERANCES = {"trees": EXACT, "lightgbm": EXACT, "catboost": EXACT, "xgboost": SINGLE, "network": NETWORK}


def reference_of(ensemble: Ensemble, shipped: dict[str, Any], **told: Any) -> Reference:
    """The reference of an ensemble; the same ensemble has the same.

    Args:
        ensemble: as it was loaded.
        shipped: the same as plain data.
        told: what else its header holds.
    """
    codes = drawn_codes(ensemble)
    plan_eras = one_era(len(codes))
    members = ensemble.completed(ensemble.predict_members(codes), codes, plan_eras)
    whole = ensemble.finish(members, EraGroups(plan_eras), lambda _: codes)
    parts = [{"name": part["name"], "form": part["form"], "tolerance": tolerance_of(part)} for part in shipped["parts"]]
    header = {"signature": ensemble.signature, "features": list(ensemble.features), "parts": parts, **told}
    return Reference(header, codes, members, whole)


def tolerance_of(part: dict[str, Any]) -> float:
    """By how much a part may differ; a bag of parts that are not exact may have neighbours change their ranks."""
    if part["form"] != BAG:
        return TOLERANCES[part["form"]]
    return EXACT if all(tolerance_of(one) == EXACT for one in part["parts"]) else RANKED


def drawn_codes(ensemble: Ensemble) -> Codes:
    """int8[n, f]: codes by chance, drawn with the signature of the ensemble."""
    neutralised = ensemble.description["neutralise"]["features"] if ensemble.neutralises else []
    rng = np.random.default_rng(int(ensemble.signature[:16], 16))
    rows = max(ROWS, len(neutralised) + SPARE_ROWS)
    return rng.integers(0, LEVELS, (rows, len(ensemble.features)), dtype=np.int8)
