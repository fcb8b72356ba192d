"""The folder of tournament files that the sandbox serves, read only."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import pandas as pd

from eraflow.data.readable import is_there
from eraflow.errors import EraflowError


class DataFolderError(EraflowError):
    """The folder that the sandbox is to serve is not there or holds no live data. Give one in tournament layout."""

    code = "sandbox_folder"


class DataFolder:
    """Files `*.parquet`, `*.csv` and features.json of one folder, offered as files of one data set version."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version = folder.resolve(), version
        if not is_there(self.folder / "live.parquet"):
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
        """The id of every row of a file, whether it is the pandas index or a column: strings.

        Raises:
            DataFolderError: the file cannot be read.
        """
        path = self.folder / file
        about = path.stat()
        found = _ids_apart(path, about.st_size, about.st_mtime_ns)
        return pd.Series(found, name="id", dtype="str")

    def _paths(self) -> list[Path]:
        offered = [path for path in sorted(self.folder.iterdir()) if path.suffix in (".parquet", ".csv")]
        catalogue = self.folder / "features.json"
        return [path for path in [catalogue, *offered] if path.is_file() and not path.name.startswith(".")]


@lru_cache(maxsize=2)
def _ids_apart(path: Path, size: int, changed_ns: int) -> tuple[str, ...]:
    """Read in a process of its own, as a damaged file may end the process that reads it; kept for the next look."""
    with tempfile.NamedTemporaryFile(suffix=".json") as place:
        command = [sys.executable, "-P", str(Path(__file__).with_name("idreader.py")), str(path), place.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            told = json.loads(Path(place.name).read_text(encoding="utf-8"))
        except ValueError:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            told = {"error": f"the program that read it died ({last[:300]})"}
    if "error" in told:
        raise DataFolderError(f"the ids of {path} cannot be read: {told['error']}", "write or download it again")
    return tuple(told["ids"])
