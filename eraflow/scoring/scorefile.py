"""Score a file of predictions, such as a user's own, against a folder in tournament layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eraflow.data.catalog import Catalog, read_catalog
from eraflow.data.contract import Contract
from eraflow.data.contractcheck import check_contract
from eraflow.data.coverage import META_MODEL, any_by_era
from eraflow.data.datafiles import DataFiles
from eraflow.data.eraindex import read_era_index
from eraflow.data.footer import read_footer
from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from eraflow.erastore.stage import joined_files
from eraflow.rows.predictionfile import PredictionFileError, read_predictions
from eraflow.scoring.insample import UNKNOWN, Origin
from eraflow.scoring.originfile import origin_of_file
from eraflow.scoring.ranking import FloatArray
from eraflow.scoring.scoring import ModelScores, NothingToScoreError, score_predictions
from eraflow.settings.data import DataSettings


@dataclass(frozen=True)
class InSample:
    """Scores that are no evidence of skill, and of which eras.

    Attributes:
        learned: the eras that a model learned from; overlapping: those whose labels overlap with such.
        scores: of both together.
    """

    learned: tuple[str, ...]
    overlapping: tuple[str, ...]
    scores: ModelScores

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"learned": list(self.learned), "overlapping": list(self.overlapping), **self.scores.as_dict()}


@dataclass(frozen=True)
class FileScores:
    """What a file of predictions scores, and how it fits the data.

    Attributes:
        scores: per era and in summary, of the eras that are out of sample, or of all where that is not known.
        in_sample: of the others, never summed with those: `learned` names the eras that the models learned from,
            `overlapping` those whose labels overlap with such. None where there are none.
        origin: how the predictions came about.
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
    in_sample: InSample | None = None
    origin: Origin = UNKNOWN

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        counts = {
            "rows": self.rows,
            "unknown_ids": self.unknown_ids,
            "missing_rows": self.missing_rows,
            "not_finite": self.not_finite,
        }
        return {
            **counts,
            "absent": dict(self.absent),
            "origin_known": self.origin.known,
            "out_of_fold": self.origin.out_of_fold,
            "oof_file": self.origin.oof_file,
            "in_sample": None if self.in_sample is None else self.in_sample.as_dict(),
            **self.scores.as_dict(),
        }


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
    catalog = read_catalog(files.features_json)
    contract = check_contract(files, data, catalog)
    eras = _covered_eras(given, files, contract)
    store = write_era_store(
        [files.train, files.validation],
        contract.features,
        [contract.target],
        scratch / "store",
        eras=eras,
        joined=joined_files(files, contract),
    )
    aligned = _aligned(given, store)
    used = int(np.count_nonzero(np.isfinite(aligned)))
    origin = origin_of_file(predictions)
    judged = _Judged(store, aligned, contract, fnc_features(catalog, contract.features))
    scores, in_sample = _apart(judged, origin, confidence)
    known = given.filter(pl.col("prediction").is_finite()).height
    shown = in_sample.scores if in_sample and not scores.summary else scores
    absent = absent_metrics(shown, contract.benchmark, META_MODEL if META_MODEL in store.columns else None)
    return FileScores(
        scores,
        rows=used,
        unknown_ids=known - used,
        missing_rows=store.n_rows - used,
        not_finite=given.height - known,
        absent=absent,
        in_sample=in_sample,
        origin=origin,
    )


@dataclass(frozen=True)
class _Judged:
    """Predictions, float64[rows of the store], and what they are scored on."""

    store: EraStore
    predictions: FloatArray
    contract: Contract
    fnc_features: Sequence[str]

    def scores(self, eras: Sequence[str], confidence: float) -> ModelScores:
        """Of some eras; empty where there are none.

        Raises:
            NothingToScoreError: not one of them has a CORR.
        """
        if not eras:
            return ModelScores(self.contract.target, self.contract.horizon_days, 0, 0)
        wanted, sizes = set(eras), np.diff(self.store.offsets())
        rows = np.repeat([era in wanted for era in self.store.eras], sizes)
        return score_predictions(
            self.store,
            self.predictions[rows],
            eras=eras,
            target=self.contract.target,
            horizon_days=self.contract.horizon_days,
            benchmark=self.contract.benchmark,
            meta_model=META_MODEL if META_MODEL in self.store.columns else None,
            fnc_features=self.fnc_features,
            confidence=confidence,
        )

    def scores_or_none(self, eras: Sequence[str], confidence: float) -> ModelScores:
        """The same; eras of which none has a CORR are told as unscored."""
        try:
            return self.scores(eras, confidence)
        except NothingToScoreError:
            return replace(self.scores((), confidence), unscored_eras=tuple(eras))


def _apart(judged: _Judged, origin: Origin, confidence: float) -> tuple[ModelScores, InSample | None]:
    """The scores of the eras that are out of sample, and of the others."""
    purge = judged.contract.purge_weeks
    standing = {era: origin.standing(era, purge) for era in judged.store.eras}
    learned, overlapping, clean = (
        tuple(era for era, found in standing.items() if found == wanted)
        for wanted in ("learned", "overlapping", "out of sample")
    )
    flattering = tuple(era for era in judged.store.eras if era not in set(clean))
    if not flattering:
        return judged.scores(clean, confidence), None
    # Only where nothing at all can be scored is that an error: the reader is to hear of the others in any case.
    scores, others = (judged.scores_or_none(eras, confidence) for eras in (clean, flattering))
    if not scores.summary and not others.summary:
        judged.scores(flattering, confidence)
    return scores, InSample(learned, overlapping, others)


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
