"""Control of the expected share of false discoveries among many tests."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.stats import false_discovery_control

from eraflow.discovery.association import DiscoveryDataError
from eraflow.scoring.ranking import FloatArray

Correction = Literal["bh", "by"]


def q_values(p_values: FloatArray, correction: Correction = "bh") -> FloatArray:
    """The smallest false-discovery rate at which each test would still be called a discovery.

    "bh" (Benjamini and Hochberg, JRSS-B 1995) keeps its promise where the statistics are independent or positively
    dependent; "by" (Benjamini and Yekutieli, Annals of Statistics 2001) whatever the dependence, at the price of a
    factor of about log(number of tests). Two-sided tests of correlated features are not covered by the proof for "bh";
    tests/eraflow/discovery and `python -m benchmarks discovery` measure what it does for clusters of features with
    overlapping labels.

    Args:
        p_values: float64[n] in [0, 1].
        correction: "bh" or "by".

    Returns:
        float64[n].

    Raises:
        DiscoveryDataError: a p-value is not a number between 0 and 1.
    """
    if p_values.size == 0:
        return p_values
    if not ((p_values >= 0) & (p_values <= 1)).all():
        raise DiscoveryDataError("a p-value lies outside 0 to 1", "give 1 to what cannot be tested")
    return np.asarray(false_discovery_control(p_values, method=correction), dtype=np.float64)
