"""What of a target a benchmark model leaves over: the part that BMC pays for.

BMC of a prediction p is the covariance of the target with p after p was made orthogonal to the benchmark m
(`numerai_tools.scoring.correlation_contribution`). A projection may change sides: <p - m<p,m>/<m,m>, y> is
<p, y - m<y,m>/<m,m>>. So a model that learns y - m<y,m>/<m,m>, era by era, learns what BMC measures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eraflow.scoring.metrics import column
from eraflow.scoring.ranking import EraGroups, FloatArray, order_within_eras


def benchmark_residual(target: npt.ArrayLike, benchmark: npt.ArrayLike, groups: EraGroups) -> FloatArray:
    """The target less its projection on the benchmark's gaussianised ranks, in each era.

    Ranks, ties and the normal quantile are those of numerai-tools; the projection is its `orthogonalize` of the centred
    target. The mean of each era stays, so the values still lie around the target's.

    Args:
        target: float[n], NaN where it is not known.
        benchmark: float[n], out-of-sample predictions, NaN where there are none.
        groups: the eras of the rows.

    Returns:
        float64[n]: NaN where target or benchmark is not known, and in eras where the benchmark does not vary.

    Raises:
        ScoreInputError: when the lengths differ.
    """
    y, predictions = column(target, groups, "target"), column(benchmark, groups, "benchmark")
    known = np.isfinite(y) & np.isfinite(predictions)
    rows = groups.only(known)
    gaussian = _gaussian(predictions[known], rows)
    centred = rows.centred(y[known])
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = rows.sums(centred * gaussian) / rows.sums(gaussian**2)
    result = np.full(groups.n_rows, np.nan)
    result[known] = y[known] - rows.spread(slope) * gaussian
    return result


def _gaussian(values: FloatArray, groups: EraGroups) -> FloatArray:
    order = order_within_eras(values, groups)
    result = np.empty(len(values))
    result[order.rows] = order.gaussian()
    return result
