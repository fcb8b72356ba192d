"""Diagnostics of uploaded validation predictions: per-era CORR and what follows from it. Other figures stay empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from eraflow.sandbox.datafolder import DataFolder

_TARGETS = ("target_ender_60", "target")


def diagnose(path: Path | None, data: DataFolder) -> dict[str, Any]:
    """Score a CSV `id,prediction` on validation.parquet; fields of the API's `Diagnostics`, with its status."""
    if path is None:
        return _failed("diagnostics file not found: nothing was uploaded under this name")
    try:
        frame = pd.read_csv(path, dtype={"id": "str"})
        predictions = frame.set_index("id")["prediction"].astype("float64")
    except (ValueError, KeyError) as error:
        return _failed(f"not a CSV with the columns id and prediction: {error}")
    truth = _validation_target(data)
    joined = truth.join(predictions[~predictions.index.duplicated()], how="inner").dropna()
    if joined.empty:
        return _failed("no id of the file belongs to a resolved validation era")
    return _summary(_per_era(joined))


def _validation_target(data: DataFolder) -> pd.DataFrame:
    """Columns era and target of validation.parquet, by id, where the target is known."""
    path = data.folder / "validation.parquet"
    names = pq.read_schema(path).names
    target = next(name for name in _TARGETS if name in names)
    frame = pq.ParquetFile(path).read(columns=["era", target]).to_pandas(ignore_metadata=True)
    frame.index = pd.Index(data.ids("validation.parquet"), name="id")
    return frame.rename(columns={target: "target"}).dropna()


def _per_era(joined: pd.DataFrame) -> pd.Series:
    from numerai_tools.scoring import numerai_corr  # imports scikit-learn: only when it is needed

    scores = {
        era: float(numerai_corr(rows[["prediction"]], rows["target"]).iloc[0]) for era, rows in joined.groupby("era")
    }
    return pd.Series(scores, dtype="float64").dropna()


def _summary(scores: pd.Series) -> dict[str, Any]:
    if scores.empty:
        return _failed("no era could be scored: are the predictions constant?")
    mean, std = float(scores.mean()), float(scores.std(ddof=0))
    running = np.concatenate([[0.0], np.cumsum(scores.to_numpy())])
    return {
        "status": "done",
        "message": None,
        "erasAcceptedCount": len(scores),
        "trainedOnVal": False,
        "validationCorrMean": mean,
        "validationCorrStd": std,
        "validationCorrSharpe": mean / std if std > 0 else None,
        "validationMaxDrawdown": float(np.max(np.maximum.accumulate(running) - running)),
        "perEraDiagnostics": [{"era": era, "validationCorr": float(score)} for era, score in scores.items()],
    }


def _failed(message: str) -> dict[str, Any]:
    return {"status": "failed", "message": message, "erasAcceptedCount": 0, "perEraDiagnostics": []}
