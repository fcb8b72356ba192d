"""How large the data of a run are, as far as that is known before anything is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eraflow.data.catalog import read_catalog
from eraflow.data.datafiles import DataFiles
from eraflow.data.footer import read_footer
from eraflow.errors import EraflowError
from eraflow.settings.data import DataSettings
from eraflow.settings.features import signed, terms
from eraflow.settings.run import RunSettings

NUMERAI_ROWS = 6_880_000
"""Of train.parquet and validation.parquet of v5.3 in November 2026; it grows by some 6,500 a week."""
NUMERAI_SETS = {"small": 42, "medium": 780, "all": 3_555, "fncv3_features": 400, "v2_equivalent_features": 304,
                "v3_equivalent_features": 1_000}  # fmt: skip
"""Features of the sets of v5.3."""


@dataclass(frozen=True)
class DataSize:
    """Rows with a target or without, of all eras that are not live, and feature columns that are learnt from."""

    rows: int
    columns: int


def data_size(settings: RunSettings) -> DataSize | None:
    """From the files where they lie, from the sandbox's settings, or of Numerai's data as they were; None: unknown."""
    source, sandbox = settings.source, settings.sandbox
    if source.data_dir is not None:
        return _in_folder(Path(source.data_dir), settings.data)
    if source.url is not None:
        return None
    if source.kind == "sandbox":
        rows = (sandbox.train_eras + sandbox.validation_eras) * sandbox.rows_per_era
        return DataSize(rows, sandbox.features)
    return DataSize(NUMERAI_ROWS, _of_numerai(settings.data))


def _in_folder(folder: Path, data: DataSettings) -> DataSize | None:
    """None for files that cannot be read: who checks them names what is wrong."""
    try:
        files = DataFiles.in_folder(folder)
        rows = sum(read_footer(path).rows for path in (files.train, files.validation))
        return DataSize(rows, len(read_catalog(files.features_json).features(data.features)))
    except (EraflowError, OSError):
        return None


def _of_numerai(data: DataSettings) -> int:
    """Columns that the terms add; what they take away is not known here, and is not taken away."""
    added = (name for adds, name in map(signed, terms(data.features)) if adds)
    return min(sum(NUMERAI_SETS.get(name, 1) for name in added), NUMERAI_SETS["all"])
