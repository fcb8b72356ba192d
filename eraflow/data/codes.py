"""Features as the five codes 0 to 4: from whatever type a file gives them, and what is no code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from eraflow.data.footer import HIGHEST_CODE, BadFeatureValueError

MISSING_CODE = 2
"""Numerai's own code for a missing feature; NaN is stored as this too."""


def as_codes(raw: pl.DataFrame) -> tuple[npt.NDArray[np.int8], tuple[int, ...]]:
    """Features as int8[n, f] (C order) and the missing cells of each; what is no code becomes one that is refused.

    Null and NaN become 2. Values other than 0 to 4 are left for `first_bad` to find.
    """
    schema = dict(raw.schema)  # once: polars builds it anew at each look
    absent = raw.select(_count_absent(kind, name) for name, kind in schema.items()).row(0)
    plain = not any(absent) and all(kind == pl.Int8 for kind in schema.values())
    if not plain:
        raw = raw.select(_as_code(kind, name) for name, kind in schema.items())
    return np.ascontiguousarray(raw.to_numpy(order="c"), dtype=np.int8), absent


def first_bad(codes: npt.NDArray[np.int8]) -> tuple[int, int] | None:
    """Row and column of the first value that is no code; None when all are."""
    unsigned = codes.view(np.uint8)  # as unsigned, negative codes are large too
    if codes.size == 0 or int(unsigned.max()) <= HIGHEST_CODE:
        return None
    row, column = (int(place[0]) for place in np.nonzero(unsigned > HIGHEST_CODE))
    return row, column


def _as_code(dtype: pl.DataType, name: str) -> pl.Expr:
    """int8 codes with 2 for null and NaN; what is not a code becomes one that the check refuses (-1 or 5)."""
    column = pl.col(name)
    if dtype in (pl.Int8, pl.Null, pl.Boolean):  # a column that is missing throughout may have no type
        return column.cast(pl.Int8).fill_null(MISSING_CODE)
    if dtype.is_decimal() or dtype == pl.Float16:  # polars rounds no half floats
        column = column.cast(pl.Float64)
    if not dtype.is_integer():
        column = column.fill_nan(None)
        column = pl.when(column.is_null() | (column == column.floor())).then(column).otherwise(HIGHEST_CODE + 1)
    elif dtype.is_unsigned_integer():
        return column.clip(0, HIGHEST_CODE + 1).cast(pl.Int8).fill_null(MISSING_CODE)
    return column.clip(-1, HIGHEST_CODE + 1).cast(pl.Int8).fill_null(MISSING_CODE)


def _count_absent(dtype: pl.DataType, name: str) -> pl.Expr:
    nulls = pl.col(name).null_count()
    return nulls + pl.col(name).is_nan().sum() if dtype.is_float() else nulls


def bad_value(path: Path, feature: str, value: object, row: int, era: str) -> BadFeatureValueError:
    """The error that names file, feature, value, row and era."""
    return BadFeatureValueError(
        f"{path}: {feature} is {value} in row {row}, era {era}", "features are 0 to 4; write or download it again"
    )
