"""Covariances among a few candidate features and with the target, in cells: short runs of eras.

All that linear regressions on the candidates need, for any set of them and any stretch of time, without another look
at the data. A cell is about a third of the label's overlap long: so short that the slow movements which the
overlap-robust errors look at are all there, and long enough that hundreds of candidates fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from eraflow.discovery.association import MIDDLE, DiscoveryDataError, known_rows
from eraflow.erastore.erareader import EraStore
from eraflow.scoring.ranking import FloatArray, IntArray
from eraflow.scoring.statistics import min_eras

CELLS_PER_OVERLAP = 3
MOST_BYTES = 512 << 20
"""Of the covariances of one window, with the copy that the last check needs; what does not fit is not examined, the
weakest candidates first."""
VALUE_BYTES = 8 + 4
TILE_ROWS = 8192


@dataclass(frozen=True)
class Cells:
    """How a window's eras are cut.

    Attributes:
        of_era: int64[eras], the cell of each era.
        environment: int64[cells], the environment of each cell; environments are blocks of neighbouring eras.
        overlap: eras over which labels overlap.
    """

    of_era: IntArray
    environment: IntArray
    overlap: int

    @property
    def environments(self) -> int:
        """How many there are."""
        return int(self.environment[-1]) + 1

    @property
    def eras(self) -> IntArray:
        """int64[cells]: how many eras each cell holds."""
        return np.bincount(self.of_era)

    def mean_in_environments(self, values: FloatArray) -> FloatArray:
        """float64[environments, ...] from float64[cells, ...]; every cell counts the same."""
        starts = np.flatnonzero(np.diff(self.environment, prepend=-1))
        sums = np.add.reduceat(values, starts, axis=0)
        sizes = np.diff(np.append(starts, len(self.environment)))
        return np.asarray(sums / sizes.reshape(-1, *[1] * (values.ndim - 1)))


@dataclass
class Moments:
    """Mean covariances in each cell; every era counts the same.

    Attributes:
        cells: which eras they are of.
        xx: float64[cells, c, c], of the features' codes; a feature that is missing in an era adds zeros.
        xy: float64[cells, c], with the target as CORR takes it, which has variance 1 in each era.
    """

    cells: Cells
    xx: FloatArray
    xy: FloatArray


def cut_windows(eras: int, environments: int, overlap: int) -> Cells:
    """Cut `eras` neighbouring eras into environments and these into cells.

    Fewer environments than asked for are cut when they would be too short to be tested: each holds at least two
    overlaps of eras.

    Raises:
        DiscoveryDataError: not even two environments are possible.
    """
    possible = min(environments, eras // min_eras(overlap))
    if possible < 2:
        raise DiscoveryDataError(
            f"{eras} training eras are too few for two environments of {min_eras(overlap)} eras each",
            "use more eras, a target of a shorter horizon, or selection.method=association",
        )
    width = -(-overlap // CELLS_PER_OVERLAP)
    of_era, environment, count = [], [], 0
    for number, block in enumerate(np.array_split(np.arange(eras), possible)):
        parts = np.array_split(block, max(1, round(len(block) / width)))
        of_era += [np.full(len(part), count + place) for place, part in enumerate(parts)]
        environment += [number] * len(parts)
        count += len(parts)
    return Cells(np.concatenate(of_era), np.array(environment), overlap)


def most_candidates(cells: Cells) -> int:
    """How many features' covariances fit into MOST_BYTES."""
    return int(np.sqrt(MOST_BYTES / VALUE_BYTES / len(cells.environment)))


def gather(
    store: EraStore,
    target: str,
    eras: Sequence[str],
    features: IntArray,
    cells: Cells,
    *,
    threads: int = 1,
) -> Moments:
    """Read the candidates' columns of every era once.

    Args:
        store: the data; it stays on disk.
        target: a column of the store.
        eras: those that `cells` was cut from.
        features: int64[c], ascending positions of the candidates.
        cells: where each era belongs.
        threads: eras read at once; the figures do not depend on it.
    """
    width, count = features.size, len(cells.environment)
    moments = Moments(cells, np.zeros((count, width, width)), np.zeros((count, width)))
    per_cell = np.bincount(cells.of_era, minlength=count)

    def one(position: int) -> tuple[FloatArray, FloatArray]:
        return era_covariances(*_columns_of(store, target, eras[position], features))

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for batch in _batches(len(eras), threads):  # so that finished eras do not pile up
            for position, (xx, xy) in zip(batch, pool.map(one, batch), strict=True):
                cell = cells.of_era[position]
                moments.xx[cell] += xx / per_cell[cell]
                moments.xy[cell] += xy / per_cell[cell]
    return moments


def _columns_of(store: EraStore, target: str, era: str, columns: IntArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    codes, y = known_rows(store, target, era)
    return codes[:, columns], y


def _batches(count: int, size: int) -> Iterator[list[int]]:
    waiting = iter(range(count))
    while batch := list(islice(waiting, size)):
        yield batch


def era_covariances(codes: npt.NDArray[np.int8], y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Covariances in one era: float64[c, c] among the codes, float64[c] with y (mean 0).

    Products of the centred codes are summed in float32, where they are exact (whole numbers below 2**24).
    """
    rows, width = codes.shape
    products, sums = np.zeros((width, width)), np.zeros(width)
    with_y = np.zeros(width)
    for start in range(0, rows, TILE_ROWS):
        x = codes[start : start + TILE_ROWS].astype(np.float32) - np.float32(MIDDLE)
        products += x.T @ x
        sums += x.sum(axis=0)
        with_y += y[start : start + TILE_ROWS].astype(np.float32) @ x
    mean = sums / max(rows, 1)
    return products / max(rows, 1) - np.outer(mean, mean), with_y / max(rows, 1)
