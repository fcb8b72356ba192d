"""Prediction files: parquet with id, era and prediction (float64), rows in the order of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.disk.atomic import atomic_path
from eraflow.disk.plainpaths import read_parquet
from eraflow.errors import EraflowError
from eraflow.scoring.insample import OUT_OF_FOLD
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import FloatArray


class OutOfFoldFileError(EraflowError):
    """A prediction file is missing, cannot be read, or does not hold the rows it should."""

    code = "out_of_fold_file"


@dataclass(frozen=True)
class Predictions:
    """The content of a file of out-of-fold predictions, which says in its metadata that it is one.

    Attributes:
        ids: str[n].
        eras: the labels, in order; each is one run of rows.
        groups: the rows of each era.
        values: float64[n].
    """

    ids: npt.NDArray[Any]
    eras: tuple[str, ...]
    groups: EraGroups
    values: FloatArray

    def write(self, path: Path) -> Path:
        """Write the file, whole or not at all; the same content gives the same bytes."""
        frame = pl.DataFrame(
            {
                "id": pl.Series(self.ids, dtype=pl.String),
                "era": pl.Series(np.repeat(np.asarray(self.eras, dtype=np.str_), self.groups.sizes), dtype=pl.String),
                "prediction": pl.Series(self.values, dtype=pl.Float64),
            }
        )
        with atomic_path(path) as temporary:
            frame.write_parquet(temporary, compression="zstd", metadata=OUT_OF_FOLD.as_metadata())
        return path


@dataclass(frozen=True)
class Unread:
    """A file of out-of-fold predictions whose ids are still in the form of the file, a quarter of their size as text.

    Attributes:
        eras, groups: as in `Predictions`.
        values: float64[n].
        stored: the ids.
    """

    eras: tuple[str, ...]
    groups: EraGroups
    values: FloatArray
    stored: pl.Series

    def ids(self, era: int) -> npt.NDArray[np.str_]:
        """str[rows of the era], by its position."""
        start, size = int(self.groups.offsets[era]), int(self.groups.sizes[era])
        return self.stored.slice(start, size).to_numpy().astype(np.str_)


def read_out_of_fold(path: Path) -> Predictions:
    """Read a prediction file.

    Raises:
        OutOfFoldFileError: it cannot be read or lacks a column.
        ScoreInputError: the rows of an era are scattered.
    """
    found = open_out_of_fold(path)
    return Predictions(found.stored.to_numpy(), found.eras, found.groups, found.values)


def open_out_of_fold(path: Path) -> Unread:
    """As `read_out_of_fold`, with the ids as they are stored."""
    try:
        frame = read_parquet(path, columns=["id", "era", "prediction"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise OutOfFoldFileError(f"{path} cannot be read: {error}", "make it again") from error
    groups = EraGroups.from_labels(frame["era"].to_numpy())
    eras = tuple(frame["era"].gather(groups.offsets[:-1]).to_list())
    return Unread(eras, groups, frame["prediction"].cast(pl.Float64).to_numpy(), frame["id"])


def join(parts: Sequence[Predictions]) -> Predictions:
    """The rows of several files, one after the other; no era may lie in two of them."""
    eras = tuple(era for part in parts for era in part.eras)
    groups = EraGroups.from_sizes(int(size) for part in parts for size in part.groups.sizes)
    ids = np.concatenate([part.ids.astype(object) for part in parts])
    return Predictions(ids, eras, groups, np.concatenate([part.values for part in parts]))
