"""Score a file of predictions, such as a user's own, against a folder in tournament layout."""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eraflow.errors import EraflowError
from eraflow.settings import DataSettings
from eraflow.store.erastore import EraStore, write_era_store
from eraflow.store.rowsource import XZ
from eraflow.tournament.catalog import Catalog, read_catalog
from eraflow.tournament.features import companion_files
from eraflow.tournament.footer import read_footer
from eraflow.tournament.schema import META_MODEL, Contract, DataFiles, check_contract
from eraflow.tournament.scoring import ModelScores, score_predictions


class PredictionFileError(EraflowError):
    """A file of predictions cannot be scored: columns, ids or values are not as they should be."""

    code = "prediction_file"


@dataclass(frozen=True)
class FileScores:
    """What a file of predictions scores, and how it fits the data.

    Attributes:
        scores: per era and in summary.
        rows: predictions that were scored.
        unknown_ids: predictions of the file that were left out: their id is in no resolved era of the folder.
        missing_rows: rows of the scored eras for which the file has no prediction.
        absent: metric that has no figure -> why.
    """

    scores: ModelScores
    rows: int
    unknown_ids: int
    missing_rows: int
    absent: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        counts = {"rows": self.rows, "unknown_ids": self.unknown_ids, "missing_rows": self.missing_rows}
        return {**counts, "absent": dict(self.absent), **self.scores.as_dict()}


def score_file(
    predictions: Path, folder: Path, data: DataSettings, scratch: Path, *, confidence: float = 0.95
) -> FileScores:
    """Per-era scores of `predictions` on every era of `folder` that it covers.

    Args:
        predictions: CSV or parquet with an id and a prediction column (any of the names Numerai takes).
        folder: tournament layout.
        data: target and benchmark.
        scratch: folder for the features that FNC and exposure need; may be large (1 byte a value).
        confidence: one-sided confidence of the bounds.

    Raises:
        PredictionFileError: no such file, no ids in common, duplicated ids, missing column.
    """
    given = read_predictions(predictions)
    files = DataFiles.in_folder(folder)
    contract = check_contract(files, data)
    eras = _covered_eras(given, files, contract)
    store = write_era_store(
        [files.train, files.validation],
        contract.features,
        [contract.target],
        scratch / "store",
        eras=eras,
        companions=companion_files(files, contract),
    )
    aligned = _aligned(given, store)
    used = int(np.count_nonzero(np.isfinite(aligned)))
    scores = score_predictions(
        store,
        aligned,
        eras=store.eras,
        target=contract.target,
        horizon_days=contract.horizon_days,
        benchmark=contract.benchmark,
        meta_model=META_MODEL if META_MODEL in store.columns else None,
        fnc_features=fnc_features(read_catalog(files.features_json), contract.features),
        confidence=confidence,
    )
    known = given.filter(pl.col("prediction").is_finite()).height
    absent = absent_metrics(scores, contract.benchmark, META_MODEL if META_MODEL in store.columns else None)
    return FileScores(scores, rows=used, unknown_ids=known - used, missing_rows=store.n_rows - used, absent=absent)


def absent_metrics(scores: ModelScores, benchmark: str | None, meta_model: str | None) -> dict[str, str]:
    """Why a metric has no figure, for each that has none."""
    others = {
        "bmc": ("the benchmark model", benchmark),
        "benchmark_corr": ("the benchmark model", benchmark),
        "mmc": ("the meta model", meta_model),
    }
    absent = {}
    for metric, (what, name) in others.items():
        if metric not in scores.summary:
            there = f"{what} {name} covers none of these eras" if name else f"the folder holds no {what[4:]}"
            absent[metric] = there
    return absent


def fnc_features(catalog: Catalog, features: tuple[str, ...]) -> list[str]:
    """FNCv3 neutralises to `fncv3_features`; where that set is not in the catalog, to all that are used."""
    wanted = set(catalog.features("fncv3_features")) if "fncv3_features" in catalog.sets else set(features)
    return [name for name in features if name in wanted] or list(features)


def read_predictions(path: Path) -> pl.DataFrame:
    """Columns id (str) and prediction (float64).

    Raises:
        PredictionFileError: no such file, one that cannot be read, a missing column, an id twice, or no number.
    """
    if not path.is_file():
        raise PredictionFileError(f"there is no file {path}", "name a CSV or parquet file")
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except (OSError, EOFError, lzma.LZMAError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PredictionFileError(f"{path} cannot be read: {reason}", "write it as CSV or parquet") from error
    column = next((name for name in ("prediction", "probability") if name in frame.columns), None)
    if column is None or "id" not in frame.columns:
        raise PredictionFileError(f"{path} has the columns {', '.join(frame.columns)}", "it needs id and prediction")
    try:
        kept = frame.select(pl.col("id").cast(pl.String), pl.col(column).cast(pl.Float64).alias("prediction"))
    except pl.exceptions.PolarsError as error:
        value = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise PredictionFileError(f"{path} holds a prediction that is no number: {value}", "correct it") from error
    if kept["id"].n_unique() != kept.height:
        raise PredictionFileError(f"{path} holds an id twice", "keep one row an id")
    return kept


def _read_csv(path: Path) -> pl.DataFrame:
    """All columns as text: a type guessed from the first rows may not be that of the others. polars unpacks gzip."""
    with path.open("rb") as file:
        packed = file.read(len(XZ)) == XZ
    return pl.read_csv(lzma.decompress(path.read_bytes()) if packed else path, infer_schema=False)


def _covered_eras(given: pl.DataFrame, files: DataFiles, contract: Contract) -> list[str]:
    """Resolved eras in which at least one id has a prediction, in order."""
    ids = given.lazy().select("id")
    found: set[str] = set()
    for path in (files.train, files.validation):
        rows = pl.scan_parquet(path).select(pl.col(read_footer(path).require_id()).alias("id"), "era")
        found |= set(rows.join(ids, on="id", how="semi").collect()["era"].unique())
    eras = [era for era in contract.resolved_eras if era in found]
    if not eras:
        raise PredictionFileError(
            f"none of the {given.height} ids lies in a resolved era of this folder", "score predictions for its rows"
        )
    return eras


def _aligned(given: pl.DataFrame, store: EraStore) -> np.ndarray:
    rows = pl.DataFrame({"id": np.asarray(store.ids()).astype(str)})
    joined = rows.join(given, on="id", how="left", maintain_order="left")
    return joined["prediction"].to_numpy()
