"""The rows of some eras of a fit: what a base learns from, what its adapters learn from, and what judges them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.base.protocol import Codes
from models.base.rows import Columns
from models.base.wholeeras import FitEras
from models.networks.adaptationeras import Weeks
from models.networks.eratargets import Targets


@dataclass(frozen=True)
class RowsOfEras:
    """Some eras of what a fit was given.

    Attributes:
        x: int8[n, width], from the first of these eras to the last.
        y: float[n]; NaN in eras between them that are not among them.
        eras: of these rows.
    """

    x: Codes
    y: Targets
    eras: FitEras

    def of(self, weeks: Weeks) -> RowsOfEras:
        """Those of the eras with these numbers."""
        at = np.flatnonzero(np.isin(self.eras.weeks, weeks))
        first, last, offsets = int(at[0]), int(at[-1]), self.eras.offsets
        rows, span = slice(int(offsets[first]), int(offsets[last + 1])), slice(first, last + 1)
        wanted = np.isin(self.eras.weeks[span], weeks)
        sizes = np.diff(offsets[first : last + 2])
        y = np.where(np.repeat(wanted, sizes), self.y[rows], np.nan).astype(self.y.dtype)
        inner = FitEras(offsets[first : last + 2] - offsets[first], self.eras.weeks[span], self.eras.purge_weeks)
        return RowsOfEras(self.x[rows], y, inner)

    @property
    def known_weeks(self) -> Weeks:
        """Numbers of the eras with a known target."""
        known = np.concatenate([[0], np.cumsum(~np.isnan(self.y))])[self.eras.offsets]
        return self.eras.weeks[np.diff(known) > 0]

    def digest(self, columns: Columns) -> str:
        """Names everything that a network can learn from these rows."""
        digest = hashlib.sha256(np.concatenate([self.eras.weeks, self.eras.offsets]).astype("<i8").tobytes())
        digest.update(self.y.astype("<f4").tobytes())
        for era in self.known_eras():
            digest.update(np.ascontiguousarray(columns.of(self.x[era])).tobytes())
        return digest.hexdigest()

    def known_eras(self) -> list[slice]:
        """The rows of each era with a known target."""
        known = set(self.known_weeks.tolist())
        bounds = pairwise(self.eras.offsets.tolist())
        return [slice(*each) for week, each in zip(self.eras.weeks.tolist(), bounds, strict=True) if week in known]
