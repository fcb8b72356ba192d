"""The association of every feature with the target, era by era, and the test of its mean over eras.

Association here is the Pearson correlation, within one era, of a feature's codes (0 to 4) with the target as CORR takes
it: centred, then raised to the signed power 1.5. It is CORR of the bare feature without the step that gaussianises the
predictions, which five equal bins do not need.

An era's figures depend on that era alone, so one pass over the data serves every window: each takes its own eras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr
from threadpoolctl import threadpool_limits

from eraflow.data.eras import era_number
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.scoring.ranking import BoolArray, FloatArray, IntArray, signed_power
from eraflow.scoring.statistics import cosine_count, cosine_variance, min_eras

BLOCK_VALUES = 2 << 20
"""Values of an era that are converted to float32 at once by one thread, 8 MiB."""
MIDDLE = 2  # of the codes, and the code of a missing feature


class DiscoveryDataError(EraflowError):
    """There are too few eras, or none with a known target, to say anything about features."""

    code = "discovery_data"


@dataclass(frozen=True)
class Associations:
    """Associations of all features in each era.

    Attributes:
        eras: labels, in order.
        features: names, in the order of the store.
        values: float64[eras, features], -1 to 1; NaN where the feature or the target does not vary in the era.
    """

    eras: tuple[str, ...]
    features: tuple[str, ...]
    values: FloatArray

    def of(self, eras: Sequence[str]) -> Associations:
        """The same for some of the eras; those whose target is not known at all are left out.

        Raises:
            DiscoveryDataError: an era was not measured, or none is left.
        """
        place = {era: position for position, era in enumerate(self.eras)}
        absent = [era for era in eras if era not in place]
        if absent:
            raise DiscoveryDataError(f"era {absent[0]} was not measured", "measure every training era")
        rows = [place[era] for era in eras if np.isfinite(self.values[place[era]]).any()]
        if not rows:
            raise DiscoveryDataError("the target is known in none of the training eras", "use resolved eras")
        return Associations(tuple(self.eras[row] for row in rows), self.features, self.values[rows])


@dataclass(frozen=True)
class MeanTests:
    """The test of each feature's mean association against zero; every array has one entry for each feature.

    Attributes:
        mean: float64, mean over the eras in which the feature is known; NaN when there is none.
        statistic: float64, the mean over its overlap-robust standard error (EWC); 0 where nothing is claimed.
        degrees: int64, degrees of freedom of Student's t.
        p_value: float64, two-sided; 1 where there are too few eras.
        stability: float64, share of these eras in which the association has the sign of the mean.
        eras: int64, how many eras these are.
    """

    mean: FloatArray
    statistic: FloatArray
    degrees: IntArray
    p_value: FloatArray
    stability: FloatArray
    eras: IntArray


def measure(
    store: EraStore,
    target: str,
    eras: Sequence[str],
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Associations:
    """Measure every feature of the store in each of `eras`, a few columns at a time.

    Args:
        store: the data; it stays on disk.
        target: a column of the store; rows where it is NaN are left out.
        eras: in the order of the store.
        threads: eras measured at once; the figures do not depend on it.
        progress: told eras done and all eras.
    """
    values = np.full((len(eras), len(store.features)), np.nan)

    def one(position: int) -> int:
        values[position] = _era_associations(store, target, eras[position])
        return position

    # One thread for each product: a sum that BLAS splits among threads would depend on their number in its last bits.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for done, _ in enumerate(pool.map(one, range(len(eras))), 1):
            if progress is not None:
                progress(done, len(eras))
    return Associations(tuple(eras), store.features, values)


def corr_target(values: FloatArray) -> FloatArray:
    """The target of one era as CORR takes it, scaled to variance 1; all zeros when it does not vary.

    Args:
        values: float64[n] without NaN.
    """
    powered = signed_power(values - values.mean()) if values.size else values
    powered = powered - powered.mean() if values.size else powered
    size = float(np.sqrt(np.mean(powered**2))) if values.size else 0.0
    return powered / size if size > 0 else np.zeros_like(powered)


def known_rows(store: EraStore, target: str, era: str) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Codes int8[n, f] and the scaled target float64[n] of the rows of one era whose target is known."""
    codes, values = store.matrix([era]), store.column(target, [era])
    known = np.isfinite(values)
    return (codes, corr_target(values)) if known.all() else (codes[known], corr_target(values[known]))


def column_blocks(width: int, rows: int) -> Iterator[slice]:
    """Slices over `width` columns, each of at most BLOCK_VALUES values in `rows` rows."""
    step = max(1, BLOCK_VALUES // max(rows, 1))
    for start in range(0, width, step):
        yield slice(start, min(start + step, width))


def _era_associations(store: EraStore, target: str, era: str) -> FloatArray:
    codes, y = known_rows(store, target, era)
    result = np.full(codes.shape[1], np.nan)
    if len(y) < 3 or not y.any():
        return result
    narrow = y.astype(np.float32)
    for block in column_blocks(codes.shape[1], len(y)):
        x = codes[:, block].astype(np.float32)
        x -= MIDDLE  # the sums of -2..2 and of their squares are whole numbers below 2**24: exact in float32
        mean = x.sum(axis=0, dtype=np.float64) / len(y)
        variance = np.einsum("ij,ij->j", x, x).astype(np.float64) / len(y) - mean**2
        covariance = (narrow @ x).astype(np.float64) / len(y)
        with np.errstate(invalid="ignore", divide="ignore"):
            result[block] = np.where(variance > 0, covariance / np.sqrt(variance), np.nan)
    return result


def overlap_entries(eras: Sequence[str], weeks: int) -> int:
    """Over how many entries of `eras` the labels overlap: fewer than weeks when the eras are thinned out."""
    gaps = [era_number(later) - era_number(earlier) for earlier, later in pairwise(eras)]
    return max(1, -(-weeks // max(1, int(np.median(gaps))))) if gaps else weeks


def mean_tests(values: FloatArray, overlap: int) -> MeanTests:
    """Test the mean of every column, by equal-weighted cosines (see eraflow.scoring.statistics).

    Each feature is tested on the eras in which it is known, as `ewc_interval` would test that series. Features do not
    share their variances: those that carry much noise and no mean are just the ones that a shared variance would
    let through.

    Args:
        values: float64[eras, features]; NaN where not known.
        overlap: entries over which labels overlap.
    """
    known = np.isfinite(values)
    width = values.shape[1]
    mean, statistic, stability = np.full(width, np.nan), np.zeros(width), np.zeros(width)
    degrees, p_value = np.ones(width, dtype=np.int64), np.ones(width)
    for rows, columns in same_rows(known):
        part = values[np.ix_(rows, columns)]
        if not len(rows):
            continue
        mean[columns] = part.mean(axis=0)
        stability[columns] = np.mean(np.sign(part) == np.sign(mean[columns]), axis=0)
        if len(rows) < min_eras(overlap):
            continue
        degrees[columns] = cosine_count(len(rows), overlap)
        error = np.sqrt(cosine_variance(part, cosine_count(len(rows), overlap)) / len(rows))
        statistic[columns] = np.divide(mean[columns], error, out=np.zeros(len(columns)), where=error > 0)
        p_value[columns] = two_sided(statistic[columns], degrees[columns])
    return MeanTests(mean, statistic, degrees, p_value, stability, known.sum(axis=0).astype(np.int64))


def two_sided(statistic: FloatArray, degrees: IntArray) -> FloatArray:
    """Two-sided p-values of Student's t."""
    return np.asarray(2 * stdtr(degrees, -np.abs(statistic)))


def same_rows(known: BoolArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Group the columns that are known in the same rows: pairs of row numbers and column numbers."""
    packed = np.packbits(known, axis=0)
    _, first, group = np.unique(packed, axis=1, return_index=True, return_inverse=True)
    for position, column in enumerate(first):
        yield np.flatnonzero(known[:, column]), np.flatnonzero(group.ravel() == position)
