"""Score a file of predictions, such as a user's own, against a folder in tournament layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eraflow.settings import DataSettings
from eraflow.store.erastore import EraStore, write_era_store
from eraflow.tournament.catalog import Catalog, read_catalog
from eraflow.tournament.coverage import any_by_era
from eraflow.tournament.eraindex import read_era_index
from eraflow.tournament.features import companion_files
from eraflow.tournament.footer import read_footer
from eraflow.tournament.predictionfile import PredictionFileError, read_predictions
from eraflow.tournament.schema import META_MODEL, Contract, DataFiles, check_contract
from eraflow.tournament.scoring import ModelScores, score_predictions


@dataclass(frozen=True)
class FileScores:
    """What a file of predictions scores, and how it fits the data.

    Attributes:
        scores: per era and in summary.
        rows: predictions that were scored.
        unknown_ids: predictions of the file that were left out: their id is in no resolved era of the folder.
        missing_rows: rows of the scored eras for which the file has no finite prediction.
        not_finite: predictions of the file that are empty, NaN or infinite: they count as none.
        absent: metric that has no figure -> why.
    """

    scores: ModelScores
    rows: int
    unknown_ids: int
    missing_rows: int
    not_finite: int = 0
    absent: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        counts = {
            "rows": self.rows,
            "unknown_ids": self.unknown_ids,
            "missing_rows": self.missing_rows,
            "not_finite": self.not_finite,
        }
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
    return FileScores(
        scores,
        rows=used,
        unknown_ids=known - used,
        missing_rows=store.n_rows - used,
        not_finite=given.height - known,
        absent=absent,
    )


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


def _covered_eras(given: pl.DataFrame, files: DataFiles, contract: Contract) -> list[str]:
    """Resolved eras in which at least one id has a prediction, in order."""
    ids = given["id"].implode()
    found: set[str] = set()
    for path in (files.train, files.validation):
        index = read_era_index(read_footer(path))
        name = index.footer.require_id()
        own = index.footer.read({name: pl.String}).to_series()
        found |= {era for era, has in zip(index.eras, any_by_era(own.is_in(ids).to_numpy(), index), strict=True) if has}
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
