"""The ids of a parquet file, read in a process of its own: `python idreader.py FILE OUT.json`.

A damaged file may end the process that reads it. Nothing but pyarrow is loaded, so that it takes a quarter of a second.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

INDEX_COLUMNS = ("id", "__index_level_0__")  # pandas names an index without a name so


def ids_of(path: Path) -> dict[str, Any]:
    """`ids`, the id of every row as text, whether it is the pandas index or a column; or `error`, what is wrong."""
    try:
        names = pq.read_schema(path).names
        column = next((name for name in INDEX_COLUMNS if name in names), None)
        if column is None:
            return {"error": "it has neither an index nor a column id"}
        found = pq.ParquetFile(path).read(columns=[column]).column(column)
        kind = found.type  # text, bytes, categories or numbers
        plain = found.cast(kind.value_type if pa.types.is_dictionary(kind) else kind).cast(pa.string())
        return {"ids": plain.to_pylist()}
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        return {"error": (str(error).splitlines() or [type(error).__name__])[0][:300]}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(ids_of(Path(sys.argv[1]))), encoding="utf-8")
