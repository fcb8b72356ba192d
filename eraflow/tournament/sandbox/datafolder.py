"""The folder of tournament files that the sandbox serves, read only."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eraflow.errors import EraflowError

_INDEX_COLUMNS = ("id", "__index_level_0__")  # pandas names an index without a name so


class DataFolderError(EraflowError):
    """The folder that the sandbox is to serve is not there or holds no live data. Give one in tournament layout."""

    code = "sandbox_folder"


class DataFolder:
    """Files `*.parquet`, `*.csv` and features.json of one folder, offered as files of one data set version."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version = folder.resolve(), version
        if not (self.folder / "live.parquet").is_file():
            raise DataFolderError(
                f"{folder} has no live.parquet", "give a folder in tournament layout, or let the sandbox generate one"
            )

    def names(self) -> list[str]:
        """`version/file` of every file that is offered, sorted."""
        return [f"{self.version}/{path.name}" for path in self._paths()]

    def path(self, name: str) -> Path | None:
        """The file behind `version/file`; None when it is not one of `names()`."""
        return {f"{self.version}/{path.name}": path for path in self._paths()}.get(name)

    def live_ids(self) -> pd.Series:
        """Ids of live.parquet, wherever the file keeps them."""
        return self.ids("live.parquet")

    def ids(self, file: str) -> pd.Series:
        """The id of every row of a file, whether it is the pandas index or a column: strings."""
        names = pq.read_schema(self.folder / file).names
        column = next((name for name in _INDEX_COLUMNS if name in names), None)
        if column is None:
            raise DataFolderError(f"{file} has neither an index nor a column id", "write the ids into it")
        table = pq.ParquetFile(self.folder / file).read(columns=[column])
        return pd.Series(_text(table.column(column)).to_pylist(), name="id", dtype="str")

    def _paths(self) -> list[Path]:
        offered = [path for path in sorted(self.folder.iterdir()) if path.suffix in (".parquet", ".csv")]
        catalogue = self.folder / "features.json"
        return [path for path in [catalogue, *offered] if path.is_file() and not path.name.startswith(".")]


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as text, whether they are stored as text, bytes, categories or numbers."""
    kind = column.type
    return column.cast(kind.value_type if pa.types.is_dictionary(kind) else kind).cast(pa.string())
