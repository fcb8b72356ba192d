"""Columns of other files (benchmarks, the meta model) brought into the row order of an era store by id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.data.eraindex import check_unique_ids
from eraflow.data.footer import Footer, MissingColumnError, read_footer

JoinedPaths = Path | str | Sequence[Path | str]


def joined_columns(joined: Mapping[str, JoinedPaths], ids: pl.Series) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Yield (name, float64[rows]) in the order of `ids`, NaN where an id has no finite value.

    Columns that come from the same files are joined together, so each file's ids are read once.

    Args:
        joined: column name -> the parquet file, or files, that hold it; of several files some may lack it.
        ids: of the rows of the store, strings.

    Raises:
        MissingColumnError: none of the files has the column.
        DuplicateIdError: an id occurs twice in the files.
    """
    for paths, names in _by_files(joined).items():
        frame = _joined([read_footer(path) for path in paths], names, ids)
        for name in names:
            values = np.asarray(frame[name].fill_null(float("nan")).to_numpy(), dtype=np.float64)
            yield name, np.where(np.isfinite(values), values, np.nan)  # an infinite value is none, as in scoring


def _by_files(joined: Mapping[str, JoinedPaths]) -> dict[tuple[Path, ...], list[str]]:
    grouped: dict[tuple[Path, ...], list[str]] = {}
    for name, paths in joined.items():
        several = [paths] if isinstance(paths, (str, Path)) else paths
        grouped.setdefault(tuple(Path(path) for path in several), []).append(name)
    return grouped


def _joined(footers: Sequence[Footer], names: Sequence[str], ids: pl.Series) -> pl.DataFrame:
    for name in names:
        if not any(name in footer.types for footer in footers):
            files = " nor ".join(str(footer.path) for footer in footers) or "no file"
            raise MissingColumnError(f"{files} has a column {name}", "choose a column that the files have")
    check_unique_ids(footers)
    known = pl.concat([_columns_by_id(footer, names) for footer in footers], how="diagonal")
    return ids.to_frame("id").join(known, on="id", how="left", maintain_order="left")


def _columns_by_id(footer: Footer, names: Sequence[str]) -> pl.DataFrame:
    key, present = footer.require_id(), [name for name in names if name in footer.types]
    found = footer.read({key: pl.String, **dict.fromkeys(present, pl.Float64)})
    return found.select(pl.col(key).alias("id"), *present)
