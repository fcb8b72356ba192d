"""The targets that the era store does not hold, in some of its eras: a feature may be a copy of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.data.eraindex import read_era_index
from eraflow.data.footer import read_footer
from eraflow.scoring.ranking import FloatArray

AT_ONCE = 8
"""Targets that are read together; a column of seven million rows is 27 MiB."""


@dataclass(frozen=True)
class OtherTargets:
    """Some targets in some eras.

    Attributes:
        names: of the targets.
        values: era -> float16[n, k], in the order of the files' rows; NaN where not known. Their levels are told apart
            in half precision.
    """

    names: tuple[str, ...]
    values: dict[str, npt.NDArray[np.float16]]

    def of(self, era: str) -> list[tuple[str, FloatArray]]:
        """Each target and its values in an era, float64[n]; none in an era that was not read."""
        found = self.values.get(era)
        return [] if found is None else list(zip(self.names, found.T.astype(np.float64), strict=True))


def read_other_targets(files: Sequence[Path], names: Sequence[str], eras: Sequence[str]) -> OtherTargets:
    """Read targets from the files of a round.

    Args:
        files: train and validation.
        names: the targets; one that a file lacks is not known there.
        eras: those that are read.

    Raises:
        ColumnTypeError, TruncatedFileError: a file is not what it was when it was checked.
    """
    values: dict[str, npt.NDArray[np.float16]] = {}
    for path in files if names else ():
        footer = read_footer(path)
        index = read_era_index(footer)
        wanted = set(eras) & set(index.eras)
        rows = {
            era: slice(int(start), int(stop))
            for era, start, stop in zip(index.eras, index.offsets[:-1], index.offsets[1:], strict=True)
            if era in wanted
        }
        values |= {era: np.full((at.stop - at.start, len(names)), np.nan, np.float16) for era, at in rows.items()}
        there = [name for name in names if name in footer.types]
        for start in range(0, len(there), AT_ONCE):
            batch = there[start : start + AT_ONCE]
            frame = footer.read(dict.fromkeys(batch, pl.Float32))
            for name in batch:
                column = frame[name].fill_null(float("nan")).to_numpy()
                for era, at in rows.items():
                    values[era][:, names.index(name)] = column[at]
    return OtherTargets(tuple(names), values)
