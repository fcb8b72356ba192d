"""Parquet files written a row group at a time, laid out as the tournament's are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

GROUP_VALUES = 8_000_000  # values of a row group: bounds the memory of a writer, whatever the number of eras
GROUP_ROWS = 20_000


def schema(columns: Mapping[str, str], *, id_is_index: bool) -> pa.Schema:
    """Arrow schema of a file: column name -> pandas dtype; `id` last as the pandas index, or first as a column."""
    frame = pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in columns.items()})
    ids = pd.Series([], dtype="str", name="id")
    if id_is_index:
        frame.index = pd.Index(ids, dtype="object", name="id")
    else:
        frame.insert(0, "id", ids)
    typed = pa.Schema.from_pandas(frame, preserve_index=id_is_index)
    texts = {"id", "era", "data_type"}
    fields = [pa.field(field.name, pa.string()) if field.name in texts else field for field in typed]
    return pa.schema(fields, metadata=typed.metadata)


class TableFile:
    """A parquet file that grows era by era. A row group is written as soon as it is full."""

    def __init__(self, path: Path, layout: pa.Schema) -> None:
        self._schema = layout
        self._limit = max(1, min(GROUP_ROWS, GROUP_VALUES // len(layout)))
        coded = [name for name in layout.names if not _is_unique(name)]
        self._writer = pq.ParquetWriter(path, layout, compression="zstd", compression_level=1, use_dictionary=coded)
        self._pending: list[pa.Table] = []
        self._rows = 0

    def add(self, columns: Mapping[str, Any]) -> None:
        """Append the rows of one era; columns of equal length, one for each name of the schema."""
        arrays = [pa.array(columns[field.name], type=field.type) for field in self._schema]
        self._pending.append(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows += len(arrays[0])
        if self._rows >= self._limit:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            table = pa.concat_tables(self._pending).combine_chunks()
            self._pending, self._rows = [], 0
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def __enter__(self) -> TableFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def _is_unique(name: str) -> bool:
    """Columns whose values hardly repeat: a dictionary would only cost time."""
    return name == "id" or "lgbm" in name or name.endswith("meta_model")


def row_ids(seed: int, first: int, count: int) -> pa.Array:
    """`count` row names, `n` and 15 hexadecimal digits, unique over all `first` counters of one seed.

    A counter below 2^60 is scattered by a bijection (xor, odd product, shift), so no two rows can meet.
    """
    mask = np.uint64((1 << 60) - 1)
    value = (np.arange(first, first + count, dtype=np.uint64) ^ np.uint64(seed * 0x9E3779B9 & int(mask))) & mask
    for factor in (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)):
        value = (value * factor) & mask
        value ^= value >> np.uint64(29)
    return pa.array([f"n{number:015x}" for number in value.tolist()], type=pa.string())


def repeated(text: str, count: int) -> pa.Array:
    """A text column that holds one value."""
    return pa.array([text]).take(pa.array(np.zeros(count, dtype=np.int64)))


def columns_of(names: Sequence[str], matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Name the rows of a feature-major matrix [features, rows]; each is contiguous, so nothing is copied."""
    return dict(zip(names, matrix, strict=True))
