"""Which rows of a parquet file belong to which era, and whether ids are unique: from three columns only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.data.eralabels import check_era_label, era_runs
from eraflow.data.eras import LIVE_ERA, BadEraError, UnorderedErasError
from eraflow.data.footer import DATA_TYPE, ERA, Footer
from eraflow.errors import EraflowError

DATA_TYPES = ("train", "validation", "test", "live")


class NullEraError(BadEraError):
    """A row has no era."""

    code = "null_era"


class DuplicateIdError(EraflowError):
    """An id occurs twice, in one file or in two."""

    code = "duplicate_id"


class NullIdError(EraflowError):
    """A row has no id."""

    code = "null_id"


class BadDataTypeError(EraflowError):
    """`data_type` holds something other than train, validation, test or live."""

    code = "data_type"


@dataclass(frozen=True)
class EraIndex:
    """The eras of one file, in file order.

    Attributes:
        footer: of the file.
        eras: labels; each is one contiguous run of rows.
        offsets: int64[n_eras + 1], the first row of each era, then the number of rows.
        data_types: one for each era; "test" when any row of the era is, "" when the file has no such column.
    """

    footer: Footer
    eras: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    data_types: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The file."""
        return self.footer.path

    def era_of_row(self, row: int) -> str:
        """The era that the row number `row` of the file belongs to."""
        return self.eras[int(np.searchsorted(self.offsets, row, side="right")) - 1]

    def ranges(self, keep: Collection[str]) -> list[tuple[int, int]]:
        """Row ranges [start, stop) of the eras in `keep`, neighbours merged."""
        merged: list[tuple[int, int]] = []
        for era, start, stop in zip(self.eras, self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            if era not in keep:
                continue
            if merged and merged[-1][1] == start:
                merged[-1] = (merged[-1][0], stop)
            else:
                merged.append((start, stop))
        return merged


def read_era_index(footer: Footer) -> EraIndex:
    """Read and check the eras of a file.

    Raises:
        MissingColumnError, NullEraError, BadEraError, UnorderedErasError, BadDataTypeError, TruncatedFileError.
    """
    footer.require([ERA])
    runs = era_runs(footer.read({ERA: pl.String}).to_series())
    offsets = np.concatenate([[0], np.cumsum([length for _, length in runs], dtype=np.int64)]).astype(np.int64)
    eras = _checked_labels(footer, [label for label, _ in runs], offsets)
    check_era_order(eras, str(footer.path))
    return EraIndex(footer, tuple(eras), offsets, _data_types(footer, offsets))


def check_era_order(eras: Sequence[str], where: str) -> None:
    """Raise UnorderedErasError unless each era occurs once and in rising order; the live era comes last."""
    seen: set[str] = set()
    for position, era in enumerate(eras):
        if era in seen:
            raise UnorderedErasError(
                f"era {era} of {where} is scattered: it goes on after era {eras[position - 1]}",
                "sort the rows by era",
            )
        seen.add(era)
        if position and _order(era) < _order(eras[position - 1]):
            raise UnorderedErasError(
                f"in {where}, era {era} comes after era {eras[position - 1]}",
                "sort the rows by era",
            )


def check_one_sequence(indexes: Sequence[EraIndex]) -> None:
    """Raise unless the files, one after the other, are one rising sequence of eras."""
    eras = [era for index in indexes for era in index.eras]
    where = " and ".join(index.path.name for index in indexes)
    check_era_order(eras, where)


def id_hashes(footer: Footer) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each row's id, uint64[rows] in file order; comparable within this process only."""
    name = footer.require_id()
    ids = footer.read({name: pl.String}).to_series()
    if ids.null_count():
        row = int(ids.is_null().arg_max() or 0)
        raise NullIdError(f"{ids.null_count()} rows of {footer.path} have no id, the first is row {row}", _AGAIN)
    return np.asarray(ids.hash(seed=1).to_numpy(), dtype=np.uint64)


def check_unique_ids(footers: Sequence[Footer], hashes: Sequence[npt.NDArray[np.uint64]] | None = None) -> None:
    """Raise DuplicateIdError when an id occurs twice, within or across the files.

    Args:
        footers: the files.
        hashes: of each file, when they were read already.
    """
    known = [id_hashes(footer) for footer in footers] if hashes is None else list(hashes)
    everything = np.sort(np.concatenate(known)) if known else np.empty(0, np.uint64)
    repeated = np.unique(everything[1:][everything[1:] == everything[:-1]])
    if repeated.size:
        _name_duplicates(footers, known, repeated)


def _name_duplicates(
    footers: Sequence[Footer], hashes: Sequence[npt.NDArray[np.uint64]], repeated: npt.NDArray[np.uint64]
) -> None:
    """Look at the ids themselves: two ids may share a hash (once in about 10^6 data sets)."""
    places: list[pl.DataFrame] = []
    for footer, own in zip(footers, hashes, strict=True):
        name = footer.require_id()
        ids = footer.read({name: pl.String}).select(pl.col(name).alias("id"))
        places.append(ids.filter(np.isin(own, repeated)).with_columns(pl.lit(footer.path.name).alias("file")))
    counts = pl.concat(places).group_by("id").agg(pl.len(), pl.col("file").unique().sort()).filter(pl.col("len") > 1)
    if counts.height:
        first = counts.sort("id").row(0, named=True)
        raise DuplicateIdError(
            f"{counts.height} ids occur more than once: {first['id']} {first['len']} times in "
            f"{' and '.join(first['file'])}",
            _AGAIN,
        )


_AGAIN = "download the data again; an id stands for one row"


def _order(era: str) -> float:
    return float("inf") if era == LIVE_ERA else int(era)


def checked_era(label: str | None, row: int, path: Path) -> str:
    """The label of `row`, which must have one.

    Raises:
        NullEraError, BadEraError.
    """
    if not label:
        raise NullEraError(f"row {row} of {path} has no era", "write the era of each row into the file")
    return check_era_label(label, f"row {row} of {path}")


def _checked_labels(footer: Footer, eras: Sequence[str | None], offsets: npt.NDArray[np.int64]) -> list[str]:
    return [checked_era(era, row, footer.path) for era, row in zip(eras, offsets.tolist(), strict=False)]


def _data_types(footer: Footer, offsets: npt.NDArray[np.int64]) -> tuple[str, ...]:
    if DATA_TYPE not in footer.types:
        return ("",) * (len(offsets) - 1)
    runs = footer.read({DATA_TYPE: pl.String}).select(pl.col(DATA_TYPE).rle().struct.unnest())
    unknown = set(runs["value"].to_list()) - set(DATA_TYPES)
    if unknown:
        raise BadDataTypeError(
            f"data_type of {footer.path} holds {sorted(map(repr, unknown))}", f"known are {', '.join(DATA_TYPES)}"
        )
    kinds = runs["value"].to_list()
    stops = np.cumsum(runs["len"].to_numpy())
    first = np.searchsorted(stops, offsets[:-1], side="right")
    last = np.searchsorted(stops, offsets[1:] - 1, side="right")
    spans = [kinds[a : b + 1] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    return tuple("test" if "test" in span else span[0] for span in spans)
