"""What weights are learnt from: era by era, how the members go with the target, the meta model and each other.

The tables are small, a few numbers a member and a pair of members for each era, whatever the eras hold. Two measures
make them, each with code of its own: `models.ensembles.numeraitables` and `models.ensembles.ranktables`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eraflow.scoring.metrics import MAX_DROPPED
from eraflow.scoring.ranking import BoolArray, EraGroups
from models.base.protocol import FloatArray
from models.ensembles.numeraitables import NumeraiTables, numerai_sums
from models.ensembles.ranktables import RankTables, rank_sums


@dataclass(frozen=True)
class KnownTruth:
    """What the members are held against; all float64[n], aligned with their rows, NaN where not known.

    Attributes:
        target: within [0, 1].
        meta_model: its prediction; None: there is none.
        benchmark: of a benchmark model, in the place of the meta model where that covers nothing; None: there is none.
    """

    target: FloatArray
    meta_model: FloatArray | None = None
    benchmark: FloatArray | None = None

    def at(self, rows: slice) -> KnownTruth:
        """Of some rows."""
        meta, benchmark = (None if one is None else one[rows] for one in (self.meta_model, self.benchmark))
        return KnownTruth(self.target[rows], meta, benchmark)


@dataclass(frozen=True)
class EraTables:
    """Both measures of the eras whose target is known, oldest first.

    Attributes:
        weeks: int64[e], the eras' numbers, rising.
        with_meta: bool[e], where the meta model covers the era; elsewhere the benchmark stands in its place.
        numerai, ranks: the measures.
    """

    weeks: npt.NDArray[np.int64]
    with_meta: BoolArray
    numerai: NumeraiTables
    ranks: RankTables

    @property
    def members(self) -> int:
        """How many members there are."""
        return int(self.numerai.corr.shape[1])

    def before(self, week: int) -> EraTables:
        """The eras before `week`: all that may be known when their labels are. A view."""
        eras = slice(0, int(np.searchsorted(self.weeks, week)))
        return EraTables(self.weeks[eras], self.with_meta[eras], self.numerai.at(eras), self.ranks.at(eras))


def era_tables(members: FloatArray, groups: EraGroups, weeks: npt.NDArray[np.int64], truth: KnownTruth) -> EraTables:
    """The tables of all eras whose target is known for four fifths of the rows at least, as Numerai scores.

    Args:
        members: float64[n, k], finite.
        groups: the eras of the rows.
        weeks: int64[n_eras], rising.
        truth: what they are held against.
    """
    found = [
        (week, one) for week, rows in zip(weeks, _slices(groups), strict=True) if (one := _era(members, rows, truth))
    ]
    count = members.shape[1]
    numerai = [np.array(part) for part in zip(*(one.numerai for _, one in found), strict=True)]
    ranks = [np.array(part) for part in zip(*(one.ranks for _, one in found), strict=True)]
    nothing = np.zeros((0, count, count)), np.zeros((0, count)), np.zeros((0, count))
    return EraTables(
        np.array([week for week, _ in found], dtype=np.int64),
        np.array([one.with_meta for _, one in found], dtype=bool),
        NumeraiTables(*(numerai or nothing)),
        RankTables(*(ranks or (*nothing, np.zeros(0), np.zeros(0)))),
    )


@dataclass(frozen=True)
class _Era:
    with_meta: bool
    numerai: tuple[FloatArray, FloatArray, FloatArray]
    ranks: tuple[FloatArray, FloatArray, FloatArray, float, float]


def _era(members: FloatArray, rows: slice, truth: KnownTruth) -> _Era | None:
    """One era; None where its target is not known, or does not vary."""
    own = truth.at(rows)
    known = np.isfinite(own.target)
    if not _enough(known) or np.ptp(own.target[known]) == 0:
        return None
    with_meta = _covers(own.meta_model, known)
    other = own.meta_model if with_meta else own.benchmark if _covers(own.benchmark, known) else None
    if other is not None:
        known = known & np.isfinite(other)
    chosen, target = members[rows][known], own.target[known]
    against = None if other is None else other[known]
    return _Era(with_meta, numerai_sums(chosen, target, against), rank_sums(chosen, target, against))


def _enough(known: BoolArray) -> bool:
    return bool(known.sum() >= max(2, (1 - MAX_DROPPED) * len(known)))


def _covers(model: FloatArray | None, known: BoolArray) -> bool:
    if model is None:
        return False
    both = known & np.isfinite(model)
    return _enough(both) and bool(np.ptp(model[both]) > 0)


def _slices(groups: EraGroups) -> Iterator[slice]:
    for first, last in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        yield slice(int(first), int(last))
