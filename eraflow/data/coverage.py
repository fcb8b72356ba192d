"""Benchmark and meta-model files: which columns they offer, and which eras of the data they cover, joined by id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from eraflow.data.eraindex import EraIndex, check_unique_ids, id_hashes
from eraflow.data.footer import DATA_TYPE, ERA, Footer
from eraflow.errors import EraflowError

META_MODEL = "numerai_meta_model"
Hashes = npt.NDArray[np.uint64]


class MissingBenchmarkError(EraflowError):
    """The benchmark that the settings name is not in the benchmark files."""

    code = "missing_benchmark"
    exit_code = 2


class JoinedFileMismatchError(EraflowError):
    """A benchmark or meta-model file shares no id with the data that it belongs to."""

    code = "joined_file_mismatch"


def choose_benchmark(benchmarks: Sequence[str], target: str, wanted: str | None = None) -> str | None:
    """The wanted benchmark; else the one whose name ends as the target (`..._ender60`); else the first; else None."""
    if wanted is not None:
        if wanted not in benchmarks:
            raise MissingBenchmarkError(
                f"there is no benchmark {wanted!r}; there are {', '.join(benchmarks) or 'none'}",
                "set data.benchmark to one of these, or leave it empty",
            )
        return wanted
    ending = "_" + target.removeprefix("target_").replace("_", "")
    fitting = [name for name in benchmarks if name.endswith(ending)]
    return next(iter([*fitting, *benchmarks]), None)


def benchmark_columns(footers: Sequence[Footer]) -> tuple[str, ...]:
    """Number columns of the benchmark files; when there are two files, those of both (else of the one)."""
    listed = [_float_columns(footer) for footer in footers]
    if not listed:
        return ()
    return tuple(name for name in listed[-1] if all(name in names for names in listed))


def _float_columns(footer: Footer) -> list[str]:
    others = (ERA, DATA_TYPE, footer.id_column)
    return [
        name
        for name, kind in footer.types.items()
        if name not in others and (pa.types.is_floating(kind) or pa.types.is_decimal(kind))
    ]


def covered_eras(
    name: str, footers: Sequence[Footer], indexes: Sequence[EraIndex], hashes: Sequence[Hashes]
) -> tuple[str, ...]:
    """The eras of the data in which at least one row has a value of the column `name`, joined by id."""
    known = []
    for footer in footers:
        footer.require([name])
        values = footer.read({name: pl.Float64}).to_series()
        known.append(id_hashes(footer)[np.isfinite(values.fill_null(float("nan")).to_numpy())])
    check_unique_ids(footers)
    ids = np.concatenate(known)
    flags = [np.isin(own, ids) for own in hashes[: len(indexes)]]
    if ids.size and not any(flag.any() for flag in flags):
        raise JoinedFileMismatchError(
            f"no id of {' and '.join(str(footer.path) for footer in footers)} occurs in the data",
            "use files of one data version, or download them again",
        )
    pairs = zip(indexes, flags, strict=True)
    return tuple(
        era for index, flag in pairs for era, has in zip(index.eras, any_by_era(flag, index), strict=True) if has
    )


def any_by_era(flags: npt.NDArray[np.bool_], index: EraIndex) -> list[bool]:
    """For each era of the file, whether any of its rows is flagged; `flags` is bool[rows]."""
    if not index.eras:
        return []
    return [bool(flag) for flag in np.logical_or.reduceat(flags, index.offsets[:-1])]
